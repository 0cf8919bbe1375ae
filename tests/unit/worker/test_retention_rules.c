/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention_rules: whose policy decides for a name, that one who is cut off from its leaders removes nothing, and that changes are seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "proto/entity.h"
#include "proto/regexp.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/registry/registry.h"
#include "worker/retention_rules.h"
#include "worker/settings.h"

#define HOUR_MS INT64_C(3600000)
#define KEEP(pattern)                                                                                        \
	"{\"policies\":[{\"repositories\":[\"**\"],\"keepTags\":[{\"patterns\":[\"" pattern "\"]}]}]}"

struct world {
	struct worker_settings settings, sub;
	struct registry registry;
	struct cluster *cluster;
	struct retention_rules *rules;
	struct retention_whose whose;
};

static bool is_away(void *arg, struct str name)
{
	(void)arg;
	return str_starts(name, "moved/");
}

/* The second root is of names that begin with "b/". */
static struct world *world_new(bool led, const char *retention, const char *of_sub)
{
	struct member_settings member = { .name = "one",
		.leader_client_secret = "0123456789abcdef0123456789abcdef" };
	struct world *world = xnew(struct world);

	member.led = led;
	world->sub = (struct worker_settings){
		.sub_path = "b", .retention_text = of_sub, .gc_delay_ms = 2 * HOUR_MS
	};
	world->settings = (struct worker_settings){ .gc = true,
		.gc_delay_ms = HOUR_MS,
		.retention_text = retention,
		.subs = &world->sub,
		.subs_len = 1 };
	world->registry.is_away = is_away;
	assert_true(cluster_new(&world->cluster, &member, 19001, NULL));
	world->rules = retention_rules_new(world->cluster, &world->registry, &world->settings);
	world->whose = retention_rules_whose(world->rules);
	return world;
}

static void world_free(struct world *world)
{
	retention_rules_free(world->rules);
	cluster_free(world->cluster);
	free(world);
}

static bool is_on(struct world *world)
{
	return world->whose.is_on(world->whose.arg);
}

static uint64_t version(struct world *world)
{
	return world->whose.version(world->whose.arg);
}

static bool is_ours(struct world *world, const char *name)
{
	return world->whose.is_ours(world->whose.arg, str_of(name));
}

/* The policy for this name keeps such a tag; tag NULL: nobody asks for anything of it. */
static void decides(struct world *world, const char *name, bool of_entity, const char *tag, int64_t delay_ms)
{
	struct retention_source source;
	struct retention_terms terms;
	struct error err;

	if (!world->whose.open(world->whose.arg, str_of(name), &source, &err))
		fail_msg("%s", err.text);
	terms = retention_terms(source.retention, str_of(name), source.delay_ms);
	assert_int_equal(terms.is_set, tag != NULL);
	assert_int_equal(terms.delay_ms, delay_ms);
	if (tag) {
		assert_int_equal(terms.of_entity, of_entity);
		assert_true(regexp_match(terms.policy->keep_tags[0].patterns[0], str_of(tag)));
	}
	assert_int_equal(source.limits != NULL, of_entity);
	world->whose.close(world->whose.arg, &source);
}

static void publish(
	struct world *world, const char *owner, const struct repository_limits *limits, uint64_t revision)
{
	const struct ring_row row = { owner, "http://one", "", "active", "" };
	struct ring_body body = { .epoch = 1,
		.algorithm = "slots",
		.hash_key = "00000000000000000000000000000000",
		.members = (struct ring_row *)(uintptr_t)&row,
		.members_len = 1,
		.peer_secret = "",
		.peer_secret_before = "" };
	struct entity *entities[2] = { entity_new(ENTITY_RING, STR("ring"), revision, &body) };
	AUTO(state) *empty = state_new();
	AUTO(snapshot) *before = cluster_snapshot(world->cluster);
	size_t len = 1;
	struct snapshot *snapshot;

	if (limits)
		entities[len++] = entity_new(ENTITY_REPOSITORY, STR("team/**"), revision, limits);
	AUTO(state) *state = state_change(empty, entities, len, revision);
	assert_true(snapshot_new_state(
		&snapshot, state, cluster_self(world->cluster), before, &world->cluster->rules, NULL));
	cluster_publish(world->cluster, snapshot);
	for (size_t i = 0; i < len; i++)
		entity_free(entities[i]);
}

static void each_root_has_its_own(void **state)
{
	struct world *world = world_new(false, KEEP("^v"), KEEP("^w"));

	(void)state;
	assert_true(is_on(world));
	decides(world, "a/app", false, "v1", HOUR_MS);
	decides(world, "b/app", false, "w1", 2 * HOUR_MS);
	decides(world, "b", false, "v1", HOUR_MS); /* a name of one component lies in the first root */
	decides(world, "bb/app", false, "v1", HOUR_MS);
	world_free(world);
	world = world_new(false, NULL, KEEP("^w"));
	assert_true(is_on(world));
	decides(world, "a/app", false, NULL, HOUR_MS);
	decides(world, "b/app", false, "w1", 2 * HOUR_MS);
	world_free(world);
}

static void without_any_or_without_gc_it_is_off(void **state)
{
	struct world *world = world_new(false, NULL, NULL);

	(void)state;
	assert_false(is_on(world));
	world->settings.gc = false;
	world->settings.retention_text = KEEP("^v");
	retention_rules_free(world->rules);
	world->rules = retention_rules_new(world->cluster, &world->registry, &world->settings);
	world->whose = retention_rules_whose(world->rules);
	assert_false(is_on(world));
	world_free(world);
}

static void settings_that_are_read_again_are_obeyed(void **state)
{
	struct world *world = world_new(false, KEEP("^v"), NULL);
	struct worker_settings again = world->settings;
	uint64_t before;

	(void)state;
	assert_true(is_on(world));
	before = version(world);
	assert_true(is_on(world));
	assert_int_equal(version(world), before);
	again.retention_text = KEEP("^x");
	again.gc_delay_ms = 3 * HOUR_MS;
	again.subs_len = 0; /* roots stay what they are */
	retention_rules_set(world->rules, &again);
	assert_int_not_equal(version(world), before);
	decides(world, "a/app", false, "x1", 3 * HOUR_MS);
	decides(world, "b/app", false, NULL, 2 * HOUR_MS);
	again.retention_text = NULL;
	retention_rules_set(world->rules, &again);
	assert_false(is_on(world));
	world_free(world);
}

static void what_is_not_here_is_not_ours(void **state)
{
	struct world *world = world_new(false, KEEP("^v"), NULL);

	(void)state;
	assert_true(is_ours(world, "a/app"));
	assert_false(is_ours(world, "moved/app"));
	world_free(world);
}

/* Who does not know the newest policies removes nothing; a policy of the leaders goes before that of the file. */
static void leaders_say_it_first(void **state)
{
	const struct repository_limits limits = {
		.retention = "{\"delay\":\"5h\",\"keepTags\":[{\"patterns\":[\"^e\"]}]}", .description = ""
	};
	const struct repository_limits without = { .tag_limit = 3, .retention = "", .description = "" };
	struct world *world = world_new(true, NULL, KEEP("^w"));
	uint64_t before;

	(void)state;
	assert_false(is_on(world)); /* no ring */
	publish(world, "one", NULL, 10);
	assert_false(is_on(world)); /* no lease */
	assert_false(is_ours(world, "team/app"));
	world->cluster->trust.lease_until_ms = clock_ms() + HOUR_MS;
	assert_true(is_on(world));
	assert_true(is_ours(world, "team/app"));
	decides(world, "team/app", false, NULL, HOUR_MS);
	before = version(world);
	publish(world, "one", &limits, 11);
	world->cluster->trust.lease_until_ms = clock_ms() + HOUR_MS;
	assert_true(is_on(world));
	assert_int_not_equal(version(world), before);
	decides(world, "team/app", true, "e1", 5 * HOUR_MS);
	decides(world, "b/app", false, "w1", 2 * HOUR_MS);
	before = version(world);
	publish(world, "one", &without, 12);
	world->cluster->trust.lease_until_ms = clock_ms() + HOUR_MS;
	assert_true(is_on(world)); /* the file has one */
	assert_int_not_equal(version(world), before);
	publish(world, "two", &limits, 13);
	world->cluster->trust.lease_until_ms = clock_ms() + HOUR_MS;
	assert_true(is_on(world));
	assert_false(is_ours(world, "team/app"));
	world->cluster->trust.lease_until_ms = clock_ms() - 1;
	assert_false(is_on(world));
	world_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_root_has_its_own),
		cmocka_unit_test(without_any_or_without_gc_it_is_off),
		cmocka_unit_test(settings_that_are_read_again_are_obeyed),
		cmocka_unit_test(what_is_not_here_is_not_ours),
		cmocka_unit_test(leaders_say_it_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
