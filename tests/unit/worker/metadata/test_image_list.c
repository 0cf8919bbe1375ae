/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_image_list - names in order, parts of tags, and sums that stay right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "worker/metadata/image_list.h"

static void add(struct list_repository *one, const char *tag, const char *platforms, int64_t updated_ms)
{
	const struct list_tag facts = { .updated_ms = updated_ms, .tagged_ms = 3, .pulls = 2 };

	assert_true(list_repository_add(one, str_of(tag), str_of(platforms), &facts));
}

static struct list_repository *make(const char *name, int64_t id)
{
	struct list_repository *one = list_repository_new(str_of(name), id);

	add(one, "1.0-Alpine", "linux/amd64", 10);
	add(one, "1.1-alpine", "linux/amd64", 30);
	add(one, "2.0", "linux/amd64\nlinux/arm64", 30);
	add(one, "latest", "", 20);
	list_repository_close(one);
	return one;
}

static void finds_parts_of_tags(void **state)
{
	AUTO(list_repository) *one = make("app", 1);
	AUTO(list_repository) *none = list_repository_new(STR("none"), 2);

	(void)state;
	list_repository_close(none);
	assert_int_equal(list_tag_with(none, 0, STR("a")), LIST_NONE);
	assert_int_equal(list_tag_with(one, 0, STR("alpine")), 0);
	assert_int_equal(list_tag_with(one, 1, STR("alpine")), 1);
	assert_int_equal(list_tag_with(one, 2, STR("alpine")), LIST_NONE);
	assert_int_equal(list_tag_with(one, 0, STR("t")), 3);
	assert_int_equal(list_tag_with(one, 4, STR("t")), LIST_NONE);
	/* Not over the end of a name, nor in platforms. */
	assert_int_equal(list_tag_with(one, 0, STR("2.0latest")), LIST_NONE);
	assert_int_equal(list_tag_with(one, 0, STR("amd64")), LIST_NONE);
	assert_string_equal(list_tag_name(one, 0), "1.0-Alpine");
	assert_string_equal(list_tag_platforms(one, 1), "linux/amd64");
	assert_string_equal(list_tag_platforms(one, 2), "linux/amd64\nlinux/arm64");
	assert_string_equal(list_tag_platforms(one, 3), "");
	assert_int_equal(list_tag_find(one, STR("2")), 2);
	assert_int_equal(list_tag_find(one, STR("z")), 4);
	/* The last of those that are the newest. */
	assert_int_equal(one->newest, 2);
	assert_int_equal(one->updated_ms, 30);
	assert_int_equal(one->pulls, 8);
}

static void keeps_order(void **state)
{
	AUTO(image_list) *list = image_list_new();
	char name[16];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "r%02u", i * 37 % 100);
		image_list_put(list, make(name, i + 1));
	}
	assert_int_equal(image_list_len(list), 100);
	assert_int_equal(image_list_images(list), 400);
	for (size_t i = 1; i < 100; i++)
		assert_true(strcmp(image_list_at(list, i - 1)->name, image_list_at(list, i)->name) < 0);
	assert_string_equal(image_list_by_id(list, 2)->name, "r37");
	/* One of the same name takes its place. */
	image_list_put(list, make("r37", 500));
	assert_int_equal(image_list_len(list), 100);
	assert_null(image_list_by_id(list, 2));
	assert_int_equal(image_list_find(list, STR("r37"))->id, 500);
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "r%02u", i);
		image_list_drop(list, str_of(name));
		image_list_drop(list, str_of(name));
	}
	assert_int_equal(image_list_len(list), 0);
	assert_int_equal(image_list_images(list), 0);
	assert_int_equal(image_list_bytes(list), 0);
	assert_null(image_list_find(list, STR("r37")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_parts_of_tags),
		cmocka_unit_test(keeps_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
