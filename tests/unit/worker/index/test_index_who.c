/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_index_who - names are there once, and who pushed what survives being written down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "worker/index/index_who.h"

static void names_are_there_once(void **state)
{
	struct index_who *ann = index_who_get(STR("ann")), *same = index_who_get(STR("ann")),
			 *bob = index_who_get(STR("bob"));

	(void)state;
	assert_ptr_equal(ann, same);
	assert_ptr_not_equal(ann, bob);
	assert_string_equal(index_who_text(ann), "ann");
	index_who_free(ann);
	assert_string_equal(index_who_text(index_who_ref(same)), "ann");
	index_who_free(same);
	assert_ptr_equal(index_who_get(STR("ann")), same);
	index_who_free(same);
	index_who_free(same);
	assert_string_equal(index_who_text(bob), "bob");
	index_who_free(bob);
}

static void some_names_are_none(void **state)
{
	char name[INDEX_WHO_MAX + 1];
	struct index_who *longest;

	(void)state;
	memset(name, 'a', sizeof(name));
	assert_null(index_who_get(str_from(name, sizeof(name))));
	longest = index_who_get(str_from(name, INDEX_WHO_MAX));
	assert_int_equal(strlen(index_who_text(longest)), INDEX_WHO_MAX);
	index_who_free(longest);
	assert_null(index_who_get(STR_NONE));
	assert_null(index_who_get(str_from("a\0b", 3)));
	assert_string_equal(index_who_text(NULL), "");
	index_who_free(NULL);
	assert_null(index_who_ref(NULL));
}

static void assert_text(int64_t ms, struct str name, const char *text)
{
	AUTO_FINI(buf) written = buf_limit(1024);
	struct index_push push = index_push_new(ms, name), read;

	index_push_write(&push, &written);
	assert_string_equal(buf_text(&written), text);
	read = index_push_read(text);
	assert_true(index_push_equal(&push, &read));
	index_push_fini(&read);
	assert_int_equal(read.at_ms, 0);
	index_push_fini(&push);
}

static void a_push_as_text(void **state)
{
	(void)state;
	assert_text(1763740000123, STR("ann"), "1763740000123 ann");
	assert_text(1763740000123, STR_NONE, "1763740000123");
	assert_text(1, STR("ann of \"there\", 1"), "1 ann of \"there\", 1");
	assert_text(0, STR("nobody knows when"), "0");
	assert_text(-5, STR("ann"), "0");
	assert_text(INT64_MAX, STR("ann"), "0");
}

static void what_is_damaged_is_not_known(void **state)
{
	static const char *const texts[] = { NULL, "", " ", "ann", " 5 ann", "5x ann", "-5 ann", "0 ann",
		"0x5", "+5", "9007199254740993 ann", "99999999999999999999999 ann", "5\tann" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct index_push push = index_push_read(texts[i]);

		if (push.at_ms || push.who)
			fail_msg("%s is %lld of %s", texts[i], (long long)push.at_ms,
				index_who_text(push.who));
	}
}

#define ROUNDS 20000

static void *come_and_go(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		struct index_who *who = index_who_get(STR("ann")), *more = index_who_ref(who);

		index_who_free(who);
		if (strcmp(index_who_text(more), "ann") != 0)
			return arg;
		index_who_free(more);
	}
	return NULL;
}

/* The last reference goes while somebody else asks for the name. */
static void names_come_and_go_on_many_threads(void **state)
{
	pthread_t threads[4];
	void *wrong;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, threads), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_there_once),
		cmocka_unit_test(some_names_are_none),
		cmocka_unit_test(a_push_as_text),
		cmocka_unit_test(what_is_damaged_is_not_known),
		cmocka_unit_test(names_come_and_go_on_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
