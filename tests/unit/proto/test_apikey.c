/* SPDX-License-Identifier: Apache-2.0 */
/* apikey: good now or why not, and which secrets open it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/apikey.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static struct entity *key_of(const char *id, struct apikey body)
{
	if (!body.owner)
		body.owner = "ann";
	return entity_new(ENTITY_APIKEY, str_of(id), 1, &body);
}

static struct state *state_of(struct entity *const *entities, size_t len)
{
	AUTO(state) *empty = state_new();

	return state_change(empty, entities, len, 1);
}

static void the_secret_before_opens_until_its_time(void **state)
{
	AUTO(entity) *key = key_of("key-12345",
		(struct apikey){ .secret_hash = A, .secret_hash_before = B, .grace_until = 1000 });
	AUTO(entity) *plain = key_of("key-23456", (struct apikey){ .secret_hash = A });

	(void)state;
	assert_true(apikey_opens(key, A, 999) && apikey_opens(key, A, 1000));
	assert_true(apikey_opens(key, B, 999));
	assert_false(apikey_opens(key, B, 1000));
	assert_false(apikey_opens(key, C, 0));
	assert_true(apikey_opens(plain, A, 0));
}

static void a_key_is_found_by_both_of_its_secrets(void **state)
{
	AUTO(entity) *key = key_of("key-12345",
		(struct apikey){ .secret_hash = A, .secret_hash_before = B, .grace_until = 1000 });
	AUTO(state) *with = state_of(&key, 1);

	(void)state;
	assert_ptr_equal(state_find_secret(with, STR(A)), key);
	assert_ptr_equal(state_find_secret(with, STR(B)), key);
	assert_null(state_find_secret(with, STR(C)));
	/* Rotated once more. */
	AUTO(entity) *next = key_of("key-12345",
		(struct apikey){ .secret_hash = C, .secret_hash_before = A, .grace_until = 2000 });
	AUTO(state) *then = state_change(with, &next, 1, 2);
	assert_null(state_find_secret(then, STR(B)));
	assert_ptr_equal(state_find_secret(then, STR(A)), next);
	assert_ptr_equal(state_find_secret(then, STR(C)), next);
	AUTO(entity) *gone = entity_new_deleted(ENTITY_APIKEY, STR("key-12345"), 3);
	AUTO(state) *without = state_change(then, &gone, 1, 3);
	assert_null(state_find_secret(without, STR(A)));
	assert_null(state_find_secret(without, STR(C)));
}

/* A secret that one key had and another one has: it is the other's. */
static void of_two_keys_the_one_that_has_it_now_is_found(void **state)
{
	struct entity *keys[] = {
		key_of("key-11111",
			(struct apikey){ .secret_hash = A, .secret_hash_before = B, .grace_until = 1000 }),
		key_of("key-22222", (struct apikey){ .secret_hash = B })
	};
	AUTO(state) *with = state_of(keys, 2);

	(void)state;
	assert_ptr_equal(state_find_secret(with, STR(B)), keys[1]);
	entity_free(keys[0]);
	entity_free(keys[1]);
}

static enum apikey_standing standing(struct apikey body, struct user owner, int64_t now)
{
	struct entity *entities[] = { key_of("key-12345", body),
		entity_new(ENTITY_USER, STR("ann"), 1, &owner) };
	AUTO(state) *with = state_of(entities, 2);
	struct entity *found = NULL;
	enum apikey_standing is = apikey_standing(with, entities[0], now, &found);

	assert_int_equal(is == APIKEY_GOOD, found == entities[1]);
	entity_free(entities[0]);
	entity_free(entities[1]);
	return is;
}

static void a_key_is_good_as_long_as_it_and_its_owner_are(void **state)
{
	struct user on = { .enabled = true }, off = { .enabled = false };
	struct apikey good = { .enabled = true, .valid_until = 1000 },
		      foreign = { .owner = "bob", .enabled = true };

	(void)state;
	assert_int_equal(standing(good, on, 999), APIKEY_GOOD);
	assert_int_equal(standing(good, on, 1000), APIKEY_OVER);
	assert_int_equal(standing(good, off, 999), APIKEY_OWNER_DISABLED);
	assert_int_equal(standing(foreign, on, 999), APIKEY_OWNER_UNKNOWN);
	assert_int_equal(standing((struct apikey){ 0 }, on, 999), APIKEY_DISABLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_secret_before_opens_until_its_time),
		cmocka_unit_test(a_key_is_found_by_both_of_its_secrets),
		cmocka_unit_test(of_two_keys_the_one_that_has_it_now_is_found),
		cmocka_unit_test(a_key_is_good_as_long_as_it_and_its_owner_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
