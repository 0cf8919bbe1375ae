/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_name_lines - of what a member answers only names of repositories are taken: no more than were asked for, ascending, all behind the one that was
 * seen last. What is taken is, written again, what it was taken from.
 *
 * A line with the name that was seen last, one with how many are asked for, and the answer.
 */
#include <stdlib.h>

#include "common/check.h"
#include "proto/name_lines.h"

#define MOST 10000

static void check(const struct name_lines *names, const char *after, size_t n)
{
	struct error err;
	struct name name;

	CHECK(names->len <= n && (names->len || !names->more));
	for (size_t i = 0; i < names->len; i++) {
		CHECK(name_parse(str_of(names->at[i]), &name, &err));
		CHECK(strcmp(names->at[i], i ? names->at[i - 1] : after) > 0);
	}
}

static bool parse(struct str body, const char *after, size_t n, struct name_lines *ret)
{
	char *text = check_strndup(body.len ? body.at : "", body.len);
	struct error err;
	bool ok = name_lines_parse(&text, body.len, after, n, ret, &err);

	CHECK(ok == !text);
	free(text);
	return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FINI(buf) text = buf_limit(4u * 1024 * 1024);
	struct str body = str_from(data, size), last, count;
	struct name_lines names, again;
	uint64_t n;

	if (!str_until(&body, '\n', &last) || !str_until(&body, '\n', &count) ||
		!str_to_number(count, MOST, &n))
		return 0;
	AUTO_STR *after = str_dup(last);
	if (!parse(body, after, n, &names))
		return 0;
	check(&names, after, n);
	for (size_t i = 0; i < names.len; i++)
		name_lines_put(&text, str_of(names.at[i]));
	if (names.more)
		name_lines_put_more(&text);
	CHECK(!text.failed && str_equal(buf_str(&text), body));
	/* One name fewer is asked for than there is. */
	CHECK(!names.len || !parse(body, after, names.len - 1, &again));
	name_lines_fini(&names);
	return 0;
}
