/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_regexp - a pattern and a text, split at the first NUL: refused with a word, or matched; what is found at the begin and at the end is found
 * anywhere, and a choice of a pattern and itself is that pattern.
 */
#include "common/check.h"
#include "common/buf.h"
#include "proto/regexp.h"

/* Of a pattern that is put between two others. -1: it is refused, for its size. */
static int match_in(const char *before, struct str pattern, const char *after, struct str text)
{
	AUTO_FINI(buf) whole = buf_limit(4 * REGEXP_MAX);
	AUTO(regexp) *regexp = NULL;
	struct error err;

	buf_puts(&whole, before);
	buf_add(&whole, pattern);
	buf_puts(&whole, after);
	if (!regexp_new(&regexp, buf_str(&whole), &err)) {
		CHECK(err.text[0]);
		return -1;
	}
	return regexp_match(regexp, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_from(data, size), pattern;
	int found, grouped, whole;

	if (!str_until(&text, '\0', &pattern))
		return 0;
	found = match_in("", pattern, "", text);
	/* A quote or a flag may go on to the end: then what is put behind is a part of it. */
	if (found < 0 || memchr(pattern.at, '\\', pattern.len))
		return 0;
	grouped = match_in("(?:", pattern, ")", text);
	CHECK(grouped < 0 || grouped == found);
	whole = match_in("^(?:", pattern, ")$", text);
	CHECK(whole < 0 || whole <= found);
	return 0;
}
