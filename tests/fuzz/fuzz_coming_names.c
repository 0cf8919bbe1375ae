/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_coming_names - of what lies in `_catalog/.coming` only names of repositories are taken, each with a time that seconds can be added to; not more
 * than there are lines, and all of them are read again, in their order, from what is written of them.
 */
#include "common/buf.h"
#include "common/check.h"
#include "worker/registry/coming_names.h"

static size_t lines_of(struct str text)
{
	size_t lines = 0;

	for (size_t i = 0; i < text.len; i++)
		lines += text.at[i] == '\n';
	return lines;
}

static void check(const struct coming_name *one)
{
	struct error err;
	struct name name;

	CHECK(name_parse(name_str(&one->name), &name, &err));
	CHECK(one->until_s >= 0 && one->until_s <= COMING_UNTIL_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct str bytes = str_from(data, size);
	const size_t lines = lines_of(bytes);
	AUTO_FINI(buf) text = buf_limit((lines + 1) * COMING_NAMES_LINE_MAX);
	struct str rest = bytes, written;
	struct coming_name one, again;
	size_t len = 0;

	for (; coming_names_next(&rest, &one); len++) {
		check(&one);
		coming_names_put(&text, name_str(&one.name), one.until_s);
	}
	CHECK(len <= lines && !text.failed);
	rest = bytes;
	written = buf_str(&text);
	while (coming_names_next(&rest, &one)) {
		CHECK(coming_names_next(&written, &again));
		CHECK(again.until_s == one.until_s && str_equal(name_str(&again.name), name_str(&one.name)));
	}
	CHECK(!written.len && !coming_names_next(&written, &again));
	return 0;
}
