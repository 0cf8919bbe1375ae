/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_entity_tree - against a plain sorted array, through thousands of random changes; trees that somebody holds stay what they were.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "proto/entity_tree.h"

#define NAMES  700
#define ROUNDS 20000

static struct str label_of(const struct entity *key)
{
	return str_of(entity_apikey(key)->label);
}

static const struct entity_order by_id = { entity_id }, by_label = { label_of };

static struct entity *key_new(unsigned name, unsigned label)
{
	char id[16], text[16];
	struct apikey body = { .owner = "ann", .secret_hash = "", .secret_hash_before = "", .label = text };

	(void)snprintf(id, sizeof(id), "k%04u", name);
	(void)snprintf(text, sizeof(text), "l%02u", label);
	return entity_new(ENTITY_APIKEY, str_of(id), 1, &body);
}

/* What the tree should be: entities by name, or NULL. */
struct model {
	struct entity *at[NAMES];
	size_t len;
};

static void model_put(struct model *model, unsigned name, struct entity *entity)
{
	model->len += (entity != NULL) - (model->at[name] != NULL);
	entity_free(model->at[name]);
	model->at[name] = entity_ref(entity);
}

static void model_fini(struct model *model)
{
	for (unsigned i = 0; i < NAMES; i++)
		entity_free(model->at[i]);
}

static void check_same(const struct entity_tree *tree, const struct model *model)
{
	size_t place = 0;

	assert_int_equal(entity_tree_len(tree), model->len);
	for (unsigned i = 0; i < NAMES; i++) {
		char id[16];

		(void)snprintf(id, sizeof(id), "k%04u", i);
		assert_int_equal(entity_tree_place(tree, &by_id, str_of(id), str_of(id)), place);
		if (model->at[i])
			assert_ptr_equal(entity_tree_at(tree, place++), model->at[i]);
	}
	assert_null(entity_tree_at(tree, place));
}

static void change(struct entity_tree **tree, struct model *model, unsigned name, bool put)
{
	struct entity *entity = put ? key_new(name, 0) : NULL;
	char id[16];

	(void)snprintf(id, sizeof(id), "k%04u", name);
	if (put)
		entity_tree_put(tree, &by_id, entity);
	else
		entity_tree_remove(tree, &by_id, str_of(id), str_of(id));
	model_put(model, name, entity);
	entity_free(entity);
}

/* It grows, shrinks to nothing, and grows again. */
static void is_what_an_array_would_be(void **state)
{
	struct model model = { 0 };
	struct entity_tree *tree = NULL;

	(void)state;
	srand(1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned of_ten = i / (ROUNDS / 4) % 2 ? 2 : 8;

		change(&tree, &model, (unsigned)rand() % NAMES, (unsigned)rand() % 10 < of_ten);
		if (i % 97 == 0)
			check_same(tree, &model);
	}
	for (unsigned i = 0; i < NAMES; i++)
		change(&tree, &model, i, false);
	assert_null(tree);
	model_fini(&model);
}

static void what_is_held_does_not_change(void **state)
{
	struct model model = { 0 }, before = { 0 };
	struct entity_tree *tree = NULL, *held;

	(void)state;
	srand(2);
	for (unsigned round = 0; round < 30; round++) {
		held = entity_tree_ref(tree);
		for (unsigned i = 0; i < NAMES; i++)
			model_put(&before, i, model.at[i]);
		for (unsigned i = 0; i < 300; i++)
			change(&tree, &model, (unsigned)rand() % NAMES, rand() % 3 > 0);
		check_same(held, &before);
		check_same(tree, &model);
		entity_tree_free(held);
	}
	entity_tree_free(tree);
	model_fini(&model);
	model_fini(&before);
}

static void equal_keys_are_sorted_by_id(void **state)
{
	struct entity_tree *tree = NULL;
	size_t place;

	(void)state;
	for (unsigned i = 0; i < NAMES; i++) {
		AUTO(entity) *key = key_new(i * 13 % NAMES, i % 7);

		entity_tree_put(&tree, &by_label, key);
	}
	assert_int_equal(entity_tree_len(tree), NAMES);
	for (size_t i = 1; i < NAMES; i++) {
		const struct entity *one = entity_tree_at(tree, i - 1), *other = entity_tree_at(tree, i);
		int order = str_compare(label_of(one), label_of(other));

		assert_true(order < 0 || (!order && str_compare(entity_id(one), entity_id(other)) < 0));
	}
	place = entity_tree_place(tree, &by_label, STR("l03"), STR_NONE);
	assert_true(str_is(label_of(entity_tree_at(tree, place)), "l03"));
	assert_true(str_is(label_of(entity_tree_at(tree, place - 1)), "l02"));
	entity_tree_remove(&tree, &by_label, STR("l03"), STR("nobody"));
	assert_int_equal(entity_tree_len(tree), NAMES);
	entity_tree_free(tree);
}

/* ---- many at once ---- */

/* So many names of all, each of which is put or goes. */
static void change_many(struct entity_tree **tree, struct model *model, unsigned many)
{
	struct entity *gone_at[NAMES], *came_at[NAMES];
	struct entity_list gone = { gone_at, 0 }, came = { came_at, 0 };
	bool taken[NAMES] = { 0 };

	for (unsigned i = 0; i < many; i++)
		taken[rand() % NAMES] = true;
	for (unsigned i = 0; i < NAMES; i++) {
		if (!taken[i])
			continue;
		if (model->at[i])
			gone.at[gone.len++] = model->at[i];
		if (rand() % 3)
			came.at[came.len++] = key_new(i, 0);
	}
	entity_tree_merge(tree, &by_id, &gone, &came);
	for (unsigned i = 0, next = 0; i < NAMES; i++) {
		char id[16];
		bool comes;

		(void)snprintf(id, sizeof(id), "k%04u", i);
		comes = next < came.len && str_is(entity_id(came.at[next]), id);
		if (taken[i])
			model_put(model, i, comes ? came.at[next] : NULL);
		next += comes;
	}
	for (size_t i = 0; i < came.len; i++)
		entity_free(came.at[i]);
}

/* From a change of one, which goes into what is there, to one of all, which builds it anew; and changes of one behind them. */
static void many_at_once_are_what_one_after_the_other_is(void **state)
{
	static const unsigned many[] = { 1, 5, 20, 60, 200, 2000, 0, 33, 34, 64 };
	struct model model = { 0 }, before = { 0 };
	struct entity_tree *tree = NULL, *held;

	(void)state;
	srand(3);
	for (unsigned round = 0; round < 200; round++) {
		held = entity_tree_ref(tree);
		for (unsigned i = 0; i < NAMES; i++)
			model_put(&before, i, model.at[i]);
		change_many(&tree, &model, many[(unsigned)rand() % 10]);
		for (unsigned i = 0; i < 20; i++)
			change(&tree, &model, (unsigned)rand() % NAMES, rand() % 2);
		check_same(held, &before);
		check_same(tree, &model);
		entity_tree_free(held);
	}
	entity_tree_free(tree);
	model_fini(&model);
	model_fini(&before);
}

/* Of each length around those of full nodes and full trees of nodes. */
static void trees_of_each_length_are_whole(void **state)
{
	struct entity *at[NAMES];
	const struct entity_list none = { NULL, 0 };

	(void)state;
	for (unsigned i = 0; i < NAMES; i++)
		at[i] = key_new(i, 0);
	for (size_t len = 0; len <= NAMES; len++) {
		const struct entity_list came = { at, len };
		struct entity_tree *tree = NULL;

		entity_tree_merge(&tree, &by_id, &none, &came);
		assert_int_equal(entity_tree_len(tree), len);
		for (size_t i = 0; i < len; i += 1 + len / 40) {
			assert_ptr_equal(entity_tree_at(tree, i), at[i]);
			assert_ptr_equal(
				entity_tree_find(tree, &by_id, entity_id(at[i]), entity_id(at[i])), at[i]);
		}
		for (size_t i = 0; i < len; i++)
			entity_tree_remove(&tree, &by_id, entity_id(at[i]), entity_id(at[i]));
		assert_null(tree);
	}
	for (unsigned i = 0; i < NAMES; i++)
		entity_free(at[i]);
}

/* Found is what is behind a name that is not there, in another node too. */
static void the_next_one_is_found(void **state)
{
	struct entity_tree *tree = NULL;

	(void)state;
	for (unsigned i = 1; i < NAMES; i += 2) {
		AUTO(entity) *key = key_new(i, 0);

		entity_tree_put(&tree, &by_id, key);
	}
	for (unsigned i = 0; i < NAMES; i++) {
		char id[16];
		size_t place;

		(void)snprintf(id, sizeof(id), "k%04u", i);
		place = entity_tree_place(tree, &by_id, str_of(id), str_of(id));
		assert_ptr_equal(
			entity_tree_find(tree, &by_id, str_of(id), str_of(id)), entity_tree_at(tree, place));
	}
	assert_null(entity_tree_find(tree, &by_id, STR("l"), STR("l")));
	entity_tree_free(tree);
	assert_null(entity_tree_find(NULL, &by_id, STR("l"), STR("l")));
}

/* By labels that are the same, that differ behind what all begin with, and that are shorter; what is equal stays in its order. */
static void lists_are_sorted(void **state)
{
	struct entity *at[NAMES];
	struct entity_list list = { at, NAMES };
	unsigned ordered = 0;

	(void)state;
	srand(4);
	for (unsigned i = 0; i < NAMES; i++) {
		char label[64];
		struct apikey body = {
			.owner = "ann", .secret_hash = "", .secret_hash_before = "", .label = label
		};

		(void)snprintf(label, sizeof(label), "the same beginning %.*s%u", rand() % 9, "abababab",
			(unsigned)rand() % 4);
		at[i] = entity_new(ENTITY_APIKEY, STR("one"), i + 1, &body);
	}
	entity_list_sort(&list, &by_label);
	for (unsigned i = 1; i < NAMES; i++) {
		int order = str_compare(label_of(at[i - 1]), label_of(at[i]));

		assert_true(order < 0 || (!order && entity_revision(at[i - 1]) < entity_revision(at[i])));
		ordered += !order;
	}
	assert_true(ordered > 10);
	for (unsigned i = 0; i < NAMES; i++)
		entity_free(at[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_what_an_array_would_be),
		cmocka_unit_test(what_is_held_does_not_change),
		cmocka_unit_test(equal_keys_are_sorted_by_id),
		cmocka_unit_test(many_at_once_are_what_one_after_the_other_is),
		cmocka_unit_test(trees_of_each_length_are_whole),
		cmocka_unit_test(the_next_one_is_found),
		cmocka_unit_test(lists_are_sorted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
