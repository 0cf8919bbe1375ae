/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name_lines - a part of a list of repositories, as members tell it each other: names in byte order, each with a newline behind it.
 *
 *     a/b\n c\n        all that there is behind the place that was asked for (without the blanks)
 *     a/b\n c\n \n     the same, and a last line that is empty: there are others behind c
 *
 * The text becomes the list: newlines become NULs, nothing is copied.
 * Limits  who asks says how many there may be. A text that says that there are others and has none is refused: nobody could go on from it.
 * Thread  any; pure.
 */
#pragma once

#include <stddef.h>

#include "common/buf.h"
#include "common/error.h"
#include "proto/name.h"

#define NAME_LINES_MAX(n) ((n) * (NAME_MAX_LEN + 1) + 1) /* bytes of so many */
#define NAME_LINES_USUAL  ((size_t)32)                       /* bytes of most: for a buffer that need not grow then */

struct name_lines {
	const void **at; /* texts, as merge.h takes them */
	size_t len;
	bool more;
	char *text; /* owned; so is the list */
};
void name_lines_fini(struct name_lines *lines);

void name_lines_put(struct buf *into, struct str name);
/* Behind the last one. */
void name_lines_put_more(struct buf *into);

/* Of what we wrote ourselves. Empties *from. */
bool name_lines_take(struct buf *from, struct name_lines *ret, struct error *err) MUST_CHECK;
/* Of what came from outside: at most n, each a name of a repository, ascending, all behind `after` (""). *text is taken where it returns true; it is changed in any case. */
bool name_lines_parse(char **text, size_t len, const char *after, size_t n, struct name_lines *ret, struct error *err) MUST_CHECK;
