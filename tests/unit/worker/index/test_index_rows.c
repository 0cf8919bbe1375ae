/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_index_rows - against a plain array: random changes of copies, of which none disturbs another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"
#include "worker/index/index_rows.h"

#define ITEMS  3000
#define COPIES 5

struct item {
	int value;
	int refs;
};

static struct item items[ITEMS];

static void item_ref(void *at)
{
	((struct item *)at)->refs++;
}

static void item_unref(void *at)
{
	((struct item *)at)->refs--;
}

static const struct index_rows_kind kind = { item_ref, item_unref };

static int compare(const void *at, const void *key)
{
	const struct item *item = at;
	int value = *(const int *)key;

	return (item->value > value) - (item->value < value);
}

/* What the rows should be: which items are in. */
struct model {
	struct index_rows rows;
	char in[ITEMS];
	size_t len;
};

static void check(const struct model *model)
{
	size_t at = 0, found;

	assert_int_equal(model->rows.len, model->len);
	for (int i = 0; i < ITEMS; i++) {
		struct item *item = index_rows_find(&model->rows, compare, &items[i].value, &found);

		assert_int_equal(found, at);
		assert_ptr_equal(item, model->in[i] ? &items[i] : NULL);
		assert_int_equal(index_rows_place(&model->rows, compare, &items[i].value, true),
			at + (size_t)model->in[i]);
		if (model->in[i])
			assert_ptr_equal(index_rows_at(&model->rows, at++), &items[i]);
	}
}

static void change(struct model *model, int i)
{
	size_t at;
	bool there = index_rows_find(&model->rows, compare, &items[i].value, &at) != NULL;

	assert_int_equal(there, model->in[i]);
	if (!there) {
		item_ref(&items[i]);
		index_rows_insert(&model->rows, at, &items[i]);
	} else if (rand() % 4 == 0) {
		item_ref(&items[i]);
		item_unref(index_rows_set(&model->rows, at, &items[i]));
		return;
	} else {
		item_unref(index_rows_remove(&model->rows, at));
	}
	model->in[i] = !there;
	model->len += there ? -1UL : 1UL;
}

static void copies_are_independent(void **state)
{
	static struct model models[COPIES];

	(void)state;
	srand(7);
	for (int i = 0; i < ITEMS; i++)
		items[i] = (struct item){ i * 2, 0 };
	for (int c = 0; c < COPIES; c++)
		models[c].rows.kind = &kind;
	for (int round = 0; round < 40; round++) {
		struct model *from = &models[rand() % COPIES], *to = &models[rand() % COPIES];

		for (int n = rand() % 1500; n > 0; n--)
			change(from, rand() % ITEMS);
		if (from != to) {
			index_rows_fini(&to->rows);
			index_rows_copy(&to->rows, &from->rows);
			memcpy(to->in, from->in, sizeof(to->in));
			to->len = from->len;
			change(to, rand() % ITEMS);
		}
		check(from);
		check(to);
	}
	for (int c = 0; c < COPIES; c++) {
		check(&models[c]);
		index_rows_fini(&models[c].rows);
	}
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(items[i].refs, 0);
}

static void built_rows_are_whole(void **state)
{
	struct index_rows rows = { .kind = &kind }, empty = { .kind = &kind };
	void *list[ITEMS];

	(void)state;
	for (int i = 0; i < ITEMS; i++) {
		items[i] = (struct item){ i, 1 };
		list[i] = &items[i];
	}
	index_rows_build(&rows, list, ITEMS);
	for (int i = 0; i < ITEMS; i++)
		assert_ptr_equal(index_rows_at(&rows, (size_t)i), &items[i]);
	/* All out from the front: chunks vanish. */
	for (int i = 0; i < ITEMS; i++)
		item_unref(index_rows_remove(&rows, 0));
	assert_int_equal(rows.len, 0);
	index_rows_insert(&rows, 0, &items[1]);
	index_rows_insert(&rows, 0, &items[0]);
	assert_ptr_equal(index_rows_at(&rows, 1), &items[1]);
	index_rows_copy(&empty, &rows);
	index_rows_fini(&rows);
	index_rows_fini(&empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_are_independent),
		cmocka_unit_test(built_rows_are_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
