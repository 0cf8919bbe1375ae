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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_what_an_array_would_be),
		cmocka_unit_test(what_is_held_does_not_change),
		cmocka_unit_test(equal_keys_are_sorted_by_id),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
