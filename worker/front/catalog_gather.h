/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_gather - one page of the catalog as it is put together of parts, in rounds.
 *
 *     new --> for each part that is asked: put() or lose() --> merge() --+--> there is a round more: the parts that are asked now, behind after()
 *                                                                        +--> the page
 *
 * In the first round each of m parts is asked for its share of n names and three times as much as chance adds to it, so that names that are spread
 * as the ring spreads them fill the page at once. A part that has more, and fewer of them here than the rest of the page may have of it by what it
 * gave so far, is asked again behind the last name of the page. A page that CATALOG_ROUNDS do not fill is shorter than n, and says that there is more; each round has a name at least.
 * A part that is lost in the first round has no part in the page, which is for the caller to say; one that is lost later ends the page where its names end.
 *
 * Cost    the parts hold at most CATALOG_ROUNDS times so many names as all are asked for in the first round.
 * Thread  one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "worker/oci/oci_page.h"

#define CATALOG_ROUNDS 3

struct buf;
struct catalog_gather;
struct catalog_page;

/* For how many names each of so many parts is asked. */
size_t catalog_share(size_t n, size_t parts);

/* n is 1 or more. */
struct catalog_gather *catalog_gather_new(const struct oci_page *page, size_t parts);
void catalog_gather_free(struct catalog_gather *gather);
AUTO_DEFINE(catalog_gather)

/* What is asked in this round. */
bool        catalog_gather_asks(const struct catalog_gather *gather, size_t part);
const char *catalog_gather_after(const struct catalog_gather *gather); /* until merge() */
size_t      catalog_gather_share(const struct catalog_gather *gather);
bool        catalog_gather_is_first(const struct catalog_gather *gather);

/* What a member answered (name_lines.h): judged. *text is taken where it returns true; where not, it is as if it had been lost. */
bool catalog_gather_put(struct catalog_gather *gather, size_t part, char **text, size_t len, struct error *err) MUST_CHECK;
/* Our own, not judged; empties *lines. */
bool catalog_gather_put_own(struct catalog_gather *gather, size_t part, struct buf *lines, struct error *err) MUST_CHECK;

/* True: there is another round. Parts of which nothing was put were lost. */
bool catalog_gather_merge(struct catalog_gather *gather) MUST_CHECK;
/* Behind the last round. False: all were lost. */
bool catalog_gather_has_any(const struct catalog_gather *gather);
/* Borrowed; catalog_page_end() ends it. *ret_more: there are names behind it. */
struct catalog_page *catalog_gather_page(struct catalog_gather *gather, bool *ret_more);
