/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_catalog_names - of what a member answers only names of repositories are taken: no more than were asked for, ascending, all behind the one that was
 * seen last. What is taken is taken again from an answer that is made of it.
 *
 * A line with the name that was seen last, one with how many are asked for, and the answer.
 */
#include "common/buf.h"
#include "common/check.h"
#include "proto/name.h"
#include "worker/front/front_catalog.h"

#define MOST 10000

static void check(const struct catalog_names *names, const char *after, size_t n)
{
	struct error err;
	struct name name;

	CHECK(names->len <= n);
	for (size_t i = 0; i < names->len; i++) {
		CHECK(name_parse(str_of(names->at[i]), &name, &err));
		CHECK(strcmp(names->at[i], i ? names->at[i - 1] : after) > 0);
	}
}

static void write_answer(const struct catalog_names *names, struct buf *into)
{
	buf_puts(into, "{\"repositories\":[");
	for (size_t i = 0; i < names->len; i++)
		buf_format(into, "%s\"%s\"", i ? "," : "", (const char *)names->at[i]);
	buf_puts(into, "]}");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FINI(buf) text = buf_limit(4u * 1024 * 1024);
	struct str body = str_from(data, size), last, count;
	struct catalog_names names, again;
	struct error err;
	uint64_t n;

	if (!str_until(&body, '\n', &last) || !str_until(&body, '\n', &count) ||
		!str_to_number(count, MOST, &n))
		return 0;
	AUTO_STR *after = str_dup(last);
	if (!catalog_names_parse(body, after, n, &names, &err))
		return 0;
	check(&names, after, n);
	write_answer(&names, &text);
	CHECK(!text.failed && catalog_names_parse(buf_str(&text), after, n, &again, &err));
	CHECK(again.len == names.len);
	catalog_names_fini(&again);
	/* One name fewer is asked for than there is. */
	CHECK(!names.len || !catalog_names_parse(buf_str(&text), after, names.len - 1, &again, &err));
	catalog_names_fini(&names);
	return 0;
}
