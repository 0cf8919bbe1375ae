/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many repositories there may be is exact, whoever makes them at once; what a push that died had taken is free again.
 */
#include "tests/unit/worker/registry/registry_rig.h"

#include <pthread.h>

#include "common/clock.h"
#include "worker/registry/repository_room.h"

static int setup(void **state)
{
	struct registry_rig *rig = xnew(struct registry_rig);

	registry_rig_open(rig);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	registry_rig_close(*state);
	free(*state);
	return 0;
}

static bool take(struct registry_rig *rig, const char *name, int64_t *ret_until_s, struct error *err)
{
	AUTO(repository_room) *room = repository_room_new(rig->store);

	repository_room_set(room, 2);
	return repository_room_take(room, str_of(name), ret_until_s, err);
}

/* As another worker, a while ago. */
static void write_coming(struct registry_rig *rig, const char *text)
{
	AUTO_FINI(buf) before = buf_limit(4096);
	struct store_version version = { .text = "" };
	struct error err;

	(void)!store_coming_get(rig->store, &before, &version, &err);
	assert_int_equal(store_coming_put(rig->store, str_of(text), &version, &err), STORE_OK);
}

static void names_on_their_way_count(void **state)
{
	struct registry_rig *rig = *state;
	int64_t until_s = 0;
	struct error err;

	assert_true(take(rig, "a", &until_s, &err));
	assert_in_range(until_s, clock_wall_s(), clock_wall_s() + REPOSITORY_ROOM_S);
	assert_true(take(rig, "a", &until_s, &err));
	assert_true(take(rig, "b", &until_s, &err));
	assert_false(take(rig, "c", &until_s, &err));
	assert_int_equal(err.kind, ERROR_BUSY);
	assert_string_equal(err.code, "TOOMANYREQUESTS");
	/* One that has come counts once. */
	assert_true(store_name_put(rig->store, STR("a"), until_s, &err));
	assert_true(take(rig, "b", &until_s, &err) && take(rig, "a", &until_s, &err));
	assert_false(take(rig, "c", &until_s, &err));
}

static void what_died_gives_back_what_it_had_taken(void **state)
{
	struct registry_rig *rig = *state;
	int64_t now_s = clock_wall_s(), until_s = 0;
	char text[200];
	struct error err;

	(void)snprintf(text, sizeof(text), "%lld dead\n%lld alive\nno line of ours\n-1 x\n%lld ../up\n",
		(long long)now_s - 60, (long long)now_s + 15, (long long)now_s + 15);
	write_coming(rig, text);
	assert_true(take(rig, "a", &until_s, &err));
	assert_false(take(rig, "b", &until_s, &err));
	/* Who was away comes too late. */
	assert_false(store_name_put(rig->store, STR("dead"), now_s - 60, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
}

static void nothing_is_asked_where_it_is_off(void **state)
{
	struct registry_rig *rig = *state;
	AUTO(repository_room) *room = repository_room_new(rig->store);
	AUTO_FINI(buf) text = buf_limit(4096);
	struct store_version version;
	int64_t until_s = 9;
	struct error err;

	assert_true(repository_room_take(room, STR("a"), &until_s, &err));
	assert_int_equal(until_s, 0);
	assert_false(store_coming_get(rig->store, &text, &version, &err));
	assert_int_equal(err.kind, ERROR_UNKNOWN);
}

#define MAKERS 12
#define LIMIT  5

struct maker {
	struct registry_rig *rig;
	unsigned n;
	bool ok;
};

static void *make(void *arg)
{
	struct maker *maker = arg;
	AUTO(repository_room) *room = repository_room_new(maker->rig->store);
	struct error err = { 0 };
	int64_t until_s;
	char name[32];

	repository_room_set(room, LIMIT);
	(void)snprintf(name, sizeof(name), "made/%u", maker->n);
	maker->ok = repository_room_take(room, str_of(name), &until_s, &err) &&
		    store_name_put(maker->rig->store, str_of(name), until_s, &err);
	if (!maker->ok && (!err.code || strcmp(err.code, "TOOMANYREQUESTS") != 0))
		print_error("%s\n", err.text);
	return NULL;
}

static bool count_one(void *arg, struct str name)
{
	(void)name;
	++*(unsigned *)arg;
	return true;
}

static void as_many_as_may_be(void **state)
{
	struct maker makers[MAKERS];
	pthread_t threads[MAKERS];
	unsigned listed = 0, made = 0;
	struct error err;

	for (unsigned i = 0; i < MAKERS; i++) {
		makers[i] = (struct maker){ *state, i, false };
		assert_int_equal(pthread_create(&threads[i], NULL, make, &makers[i]), 0);
	}
	for (unsigned i = 0; i < MAKERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		made += makers[i].ok;
	}
	assert_true(store_catalog_each(((struct registry_rig *)*state)->store, count_one, &listed, &err));
	assert_int_equal(made, LIMIT);
	assert_int_equal(listed, LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_on_their_way_count, setup, teardown),
		cmocka_unit_test_setup_teardown(what_died_gives_back_what_it_had_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_asked_where_it_is_off, setup, teardown),
		cmocka_unit_test_setup_teardown(as_many_as_may_be, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
