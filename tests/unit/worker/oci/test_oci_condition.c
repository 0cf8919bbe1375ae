/* SPDX-License-Identifier: Apache-2.0 */
/*
 * If-Match, If-None-Match and If-Range: lists, weak tags, what is malformed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "common/error.h"
#include "worker/oci/oci_condition.h"

#define MET    OCI_CONDITION_MET
#define SAME   OCI_CONDITION_NOT_MODIFIED
#define FAILED OCI_CONDITION_FAILED

/* In the samples @ stands for the quoted digest, # for it without quotes. */
static const char *expand(const char *sample, char into[1024], const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];
	size_t used = 0;

	if (!sample)
		return NULL;
	digest_format(digest, text);
	for (; *sample; sample++)
		used += (size_t)(*sample == '@'   ? snprintf(into + used, 1024 - used, "\"%s\"", text)
				 : *sample == '#' ? snprintf(into + used, 1024 - used, "%s", text)
						  : snprintf(into + used, 1024 - used, "%c", *sample));
	into[used] = '\0';
	return into;
}

static void lists_are_looked_through(void **state)
{
	static const struct {
		const char *if_match, *if_none_match;
		enum oci_condition wanted;
	} samples[] = {
		{ NULL, NULL, MET },
		{ NULL, "@", SAME },
		{ NULL, "W/@", SAME },
		{ NULL, "*", SAME },
		{ NULL, " * ", SAME },
		{ NULL, "\"x\", @", SAME },
		{ NULL, "\"a,b\",W/\"y\" ,\t@", SAME },
		{ NULL, ",, @,", SAME },
		{ NULL, "\"x\"", MET },
		{ NULL, "#", MET },
		{ NULL, "", MET },
		{ NULL, "\"#", MET },
		{ NULL, "w/@", MET },
		{ NULL, "x, @", MET },
		{ NULL, "\", @\"", MET },
		{ NULL, "@, x", SAME },
		{ "@", NULL, MET },
		{ "*", NULL, MET },
		{ "\"x\", @", NULL, MET },
		{ "W/@", NULL, FAILED },
		{ "W/@, @", NULL, MET },
		{ "\"x\"", NULL, FAILED },
		{ "#", NULL, FAILED },
		{ "", NULL, FAILED },
		{ "@", "@", SAME },
		{ "\"x\"", "@", FAILED },
	};
	struct digest digest = digest_of(HASH_SHA256, STR("bytes"));

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		char match[1024], none_match[1024];
		enum oci_condition found = oci_condition(expand(samples[i].if_match, match, &digest),
			expand(samples[i].if_none_match, none_match, &digest), &digest);
		if (found != samples[i].wanted)
			fail_msg("sample %zu: %d", i, found);
	}
}

static void if_range_is_one_strong_tag(void **state)
{
	static const char *const others[] = { "", "*", "#", "W/@", "\"x\"", "@, @", "@x", "\"#",
		"Sat, 29 Oct 1994 19:43:31 GMT" };
	struct digest digest = digest_of(HASH_SHA512, STR("bytes"));
	char text[1024];

	(void)state;
	assert_true(oci_if_range(expand("@", text, &digest), &digest));
	assert_true(oci_if_range(expand(" @ ", text, &digest), &digest));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (oci_if_range(expand(others[i], text, &digest), &digest))
			fail_msg("%s counts", others[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_looked_through),
		cmocka_unit_test(if_range_is_one_strong_tag),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
