/* SPDX-License-Identifier: Apache-2.0 */
/* cluster: what follows and reports are made of: the state on disk, leaders, places. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/file.h"
#include "tests/unit/remove_tree.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/leaders.h"
#include "worker/cluster/peer_claims.h"
#include "worker/cluster/self_address.h"
#include "worker/cluster/state_file.h"

static char folder[64], path[96];

static int start(void **state)
{
	(void)state;
	memcpy(folder, "/tmp/zot-clus-XXXXXX", 21);
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/file", folder);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return remove_tree(folder) ? 0 : -1;
}

static bool load(struct state **ret_state, int64_t *ret_age_ms, struct error *err)
{
	struct state_file_read read;

	if (!state_file_read(path, &read, err))
		return false;
	*ret_state = read.chain.state;
	*ret_age_ms = read.age_ms;
	return true;
}

static void a_damaged_state_is_refused_at_every_byte(void **state)
{
	const char *roles[] = { "admin" };
	struct user body = { .password_hash = "", .roles = { roles, 1 }, .enabled = true };
	AUTO(entity) *user = entity_new(ENTITY_USER, STR("ann"), 3, &body);
	AUTO(state) *empty = state_new();
	AUTO(state) *saved = state_change(empty, &user, 1, 3);
	AUTO(state) *loaded = NULL;
	AUTO_FINI(buf) file = buf_limit(65536);
	struct timespec old[2] = { { .tv_sec = time(NULL) - 3600 }, { .tv_sec = time(NULL) - 3600 } };
	struct state_file_end end;
	struct error err;
	int64_t age;

	(void)state;
	assert_false(load(&loaded, &age, &err));
	assert_int_equal(err.kind, ERROR_UNKNOWN);
	assert_true(state_file_save(path, NULL, saved, &end, &err));
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_true(load(&loaded, &age, &err));
	assert_in_range(age, 3600 * 1000, 3700 * 1000);
	state_free(TAKE(loaded));
	assert_true(state_file_touch(path, &err));
	assert_true(load(&loaded, &age, &err));
	assert_in_range(age, 0, 100 * 1000);
	assert_int_equal(state_revision(loaded), 3);
	assert_non_null(state_find(loaded, ENTITY_USER, STR("ann")));
	assert_true(file_read(path, &file, &err));
	for (size_t i = 0; i < file.len; i++) {
		struct state *bad = NULL;
		file.at[i] ^= 0x40;
		assert_true(file_write_durable(path, buf_str(&file), 0600, &err));
		assert_false(load(&bad, &age, &err));
		file.at[i] ^= 0x40;
	}
}

/* A file of before: format 1, without a digest of the state. */
static void a_state_without_a_digest_is_loaded(void **state)
{
	struct user body = { .password_hash = "", .enabled = true };
	AUTO(entity) *user = entity_new(ENTITY_USER, STR("ann"), 3, &body);
	AUTO(state) *empty = state_new();
	AUTO(state) *same = state_change(empty, &user, 1, 3), *loaded = NULL;
	AUTO_FINI(buf) document = buf_limit(4096), file = buf_limit(4096);
	uint8_t digest[HASH_MAX];
	struct error err;
	int64_t age;

	(void)state;
	pack_map(&document, 5);
	pack_str(&document, STR("v"));
	pack_uint(&document, 1);
	pack_str(&document, STR("kind"));
	pack_str(&document, STR("full"));
	pack_str(&document, STR("from"));
	pack_uint(&document, 0);
	pack_str(&document, STR("revision"));
	pack_uint(&document, 3);
	pack_str(&document, STR("entities"));
	pack_array(&document, 1);
	entity_encode(user, &document);
	hash_bytes(HASH_SHA256, document.at, document.len, digest);
	buf_puts(&file, "ZOTSTATE1");
	buf_append(&file, digest, 32);
	buf_add(&file, buf_str(&document));
	assert_true(file_write_durable(path, buf_str(&file), 0600, &err));
	assert_true(load(&loaded, &age, &err));
	assert_true(state_same(loaded, same));
}

static struct snapshot *snapshot_of(
	struct cluster *cluster, int64_t epoch, const char *other, uint64_t revision)
{
	const struct ring_row rows[] = { { "one", "http://one", "", "active", "" },
		{ other, "http://other", "", "active", "" } };
	struct ring_body body = { .epoch = epoch,
		.algorithm = "slots",
		.hash_key = "00000000000000000000000000000000",
		.members = (struct ring_row *)(uintptr_t)rows,
		.members_len = 2,
		.peer_secret = "",
		.peer_secret_before = "" };
	AUTO(entity) *ring = entity_new(ENTITY_RING, STR("ring"), revision, &body);
	AUTO(state) *empty = state_new();
	AUTO(state) *state = state_change(empty, &ring, 1, revision);
	struct snapshot *snapshot;

	assert_true(snapshot_new_state(&snapshot, state, cluster->self, NULL, &cluster->rules, NULL));
	return snapshot;
}

/* Whether nothing from before counts once this is published. */
static bool begins_anew(struct cluster *cluster, struct snapshot *snapshot)
{
	cluster->trust.since_ms = 1;
	cluster_publish(cluster, snapshot);
	return cluster->trust.since_ms != 1;
}

/* A store of the leaders that was put back counts its epochs anew: the same number says nothing. */
static void trust_begins_anew_with_another_ring(void **state)
{
	struct member_settings settings = {
		.led = true, .name = "one", .leader_client_secret = "0123456789abcdef0123456789abcdef"
	};
	AUTO(cluster) *cluster = NULL;

	(void)state;
	assert_true(cluster_new(&cluster, &settings, 19001, NULL));
	assert_true(begins_anew(cluster, snapshot_of(cluster, 7, "two", 10)));
	assert_false(begins_anew(cluster, snapshot_of(cluster, 7, "two", 11)));
	assert_true(begins_anew(cluster, snapshot_of(cluster, 7, "three", 12)));
	assert_true(begins_anew(cluster, snapshot_of(cluster, 5, "three", 9)));
	assert_false(begins_anew(cluster, snapshot_of(cluster, 5, "three", 9)));
}

static void a_failed_leader_is_left_alone_for_a_while(void **state)
{
	const char *urls[] = { "http://a", "http://b" };
	struct member_settings settings = {
		.leader_urls = { urls, 2 }, .retry_delay_ms = 100, .retry_factor = 2
	};
	struct leaders leaders;
	const char *first, *second;
	int64_t wait = -1;

	(void)state;
	leaders_init(&leaders, &settings, 10000);
	first = leaders_next(&leaders, 1000, &wait);
	assert_string_equal(leaders_next(&leaders, 1000, &wait), first);
	leaders_failed(&leaders, 1000);
	second = leaders_next(&leaders, 1000, &wait);
	assert_string_not_equal(first, second);
	leaders_failed(&leaders, 1000);
	assert_null(leaders_next(&leaders, 1000, &wait));
	assert_in_range(wait, 1, 101);
	assert_non_null(leaders_next(&leaders, 1101, &wait));
	leaders_worked(&leaders);
	assert_non_null(leaders_next(&leaders, 1101, &wait));
	leaders_fini(&leaders);
}

static void names_and_urls_are_completed(void **state)
{
	static const char *const cases[][2] = {
		{ "10.0.0.7", "http://10.0.0.7:8080" },
		{ "worker-1:9000", "http://worker-1:9000" },
		{ "https://w.example/", "https://w.example" },
	};
	struct member_settings settings = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FINI(buf) url = buf_limit(256);
		settings.self_url = cases[i][0];
		self_url(&settings, 8080, &url);
		assert_string_equal(buf_text(&url), cases[i][1]);
	}
	/* Where nobody has said it: where we listen, if that is one address. */
	static const char *const listens[][2] = {
		{ "127.0.0.1", "http://127.0.0.1:8080" },
		{ "2001:db8::1", "http://[2001:db8::1]:8080" },
		{ "localhost", "http://localhost:8080" },
	};
	settings.self_url = NULL;
	for (size_t i = 0; i < sizeof(listens) / sizeof(listens[0]); i++) {
		AUTO_FINI(buf) url = buf_limit(256);
		settings.listens = listens[i][0];
		self_url(&settings, 8080, &url);
		assert_string_equal(buf_text(&url), listens[i][1]);
	}
	AUTO_FINI(buf) all = buf_limit(256);
	settings.listens = "0.0.0.0";
	self_url(&settings, 8080, &all);
	assert_null(strstr(buf_text(&all), "0.0.0.0"));
	AUTO_FINI(buf) name = buf_limit(256);
	settings.instance_number = "3";
	self_name(&settings, 8080, &name);
	assert_string_equal(buf_text(&name), "zot-worker-3");
}

static void a_static_member_finds_itself_and_its_peers(void **state)
{
	const char *members[] = { "127.0.0.1:19001", "127.0.0.1:19002", "127.0.0.1:19003" };
	struct member_settings settings = { .members = { members, 3 },
		.hash_key = "loremipsumdolors",
		.secret = "0123456789abcdef0123456789abcdef" };
	AUTO(cluster) *cluster = NULL;
	struct error err;

	(void)state;
	assert_true(cluster_new(&cluster, &settings, 19002, &err));
	assert_string_equal(cluster_self(cluster), members[1]);
	AUTO(snapshot) *snapshot = cluster_snapshot(cluster);
	/* zot's own vectors: alpine belongs to place 1 of 3, debian to place 0. */
	assert_int_equal(cluster_place(cluster, snapshot, STR("alpine")).place, PLACE_HERE);
	struct place_found found = cluster_place(cluster, snapshot, STR("debian"));
	assert_int_equal(found.place, PLACE_PEER);
	assert_string_equal(found.member->url, "http://127.0.0.1:19001");
	cluster_peer_failed(cluster, STR("127.0.0.1:19001"));
	assert_int_equal(cluster_place(cluster, snapshot, STR("debian")).place, PLACE_HERE);
	cluster_peer_answered(cluster, STR("127.0.0.1:19001"));
	assert_int_equal(cluster_place(cluster, snapshot, STR("debian")).place, PLACE_PEER);
	assert_int_equal(cluster_trust(cluster, STR("alpine")), 0);
	assert_int_equal(cluster_place_upload(cluster, snapshot, "nobody").place, PLACE_NOWHERE);
	assert_int_equal(cluster_place_upload(cluster, snapshot, members[2]).place, PLACE_PEER);
	/* The place in the list, whatever a member is called there. */
	AUTO_FINI(buf) name = buf_limit(256);
	cluster_name_of(cluster, snapshot, found.member, &name);
	assert_string_equal(buf_text(&name), "member 1 of 3");
	assert_string_equal(cluster_known_as(cluster), "member 2 of 3");
	struct cluster *none;
	assert_false(cluster_new(&none, &settings, 19009, &err));
	assert_non_null(strstr(err.text, "none of the 3 members"));
}

static void key_of(struct member_settings settings, char into[65])
{
	AUTO(cluster) *cluster = NULL;
	struct str key;

	assert_true(cluster_new(&cluster, &settings, 19001, NULL));
	key = cluster_key(cluster);
	into[0] = '\0';
	if (!key.len)
		return;
	assert_int_equal(key.len, 32);
	str_hex((const uint8_t *)key.at, key.len, into);
}

/* The key comes from a secret and never from what is copied from examples; another purpose gives another key.
 */
static void calls_are_signed_with_a_derived_key(void **state)
{
	const char *members[] = { "127.0.0.1:19001" };
	struct member_settings led = {
		.led = true, .name = "w", .leader_client_secret = "0123456789abcdef0123456789abcdef"
	};
	struct member_settings alone = { .members = { members, 1 }, .hash_key = "loremipsumdolors" };
	char of_leaders[65], of_secret[65], of_alone[65], given[65];

	(void)state;
	key_of(alone, of_alone);
	assert_string_equal(of_alone, "");
	key_of((struct member_settings){ 0 }, of_alone);
	assert_string_equal(of_alone, "");
	key_of(led, of_leaders);
	/* HKDF-SHA256 (RFC 5869) with the salt "zot-cluster", by another implementation. */
	assert_string_equal(of_leaders, "87eebf3498f768a8983bab2457ad62bca096694ec38c934b7afa4459a4bd02e3");
	alone.secret = led.leader_client_secret;
	key_of(alone, of_secret);
	assert_string_equal(of_secret, "15c82c12162ec60567026e250f2edd340922d4a5505ad37e5e02e1d51bac618f");
	/* What is given beats what is derived. */
	led.secret = led.leader_client_secret;
	key_of(led, given);
	assert_string_equal(given, of_secret);
}

static void each_call_has_its_number(void **state)
{
	const char *members[] = { "127.0.0.1:19001" };
	struct member_settings settings = { .members = { members, 1 }, .hash_key = "loremipsumdolors" };
	AUTO(cluster) *cluster = NULL;
	uint8_t process[PEER_PROCESS_BYTES], same[PEER_PROCESS_BYTES];
	uint64_t first;

	(void)state;
	assert_true(cluster_new(&cluster, &settings, 19001, NULL));
	first = cluster_next_call(cluster, process);
	for (uint64_t i = 1; i < 1000; i++) {
		assert_int_equal(cluster_next_call(cluster, same), first + i);
		assert_memory_equal(same, process, sizeof(process));
	}
}

static void a_call_says_who_makes_it_and_to_whom(void **state)
{
	const char *members[] = { "127.0.0.1:19001", "127.0.0.1:19002" };
	struct member_settings settings = { .members = { members, 2 },
		.hash_key = "loremipsumdolors",
		.secret = "0123456789abcdef0123456789abcdef" };
	AUTO(cluster) *cluster = NULL;
	int64_t before = clock_wall_ms();
	struct peer_claims first, second;

	(void)state;
	assert_true(cluster_new(&cluster, &settings, 19001, NULL));
	AUTO(snapshot) *snapshot = cluster_snapshot(cluster);
	first = peer_claims_of(cluster, snapshot, "member 2 of 2");
	second = peer_claims_of(cluster, snapshot, "member 2 of 2");
	assert_string_equal(first.sender, "member 1 of 2");
	assert_string_equal(first.receiver, "member 2 of 2");
	assert_true(first.ring && first.ring == ring_mark(snapshot->ring));
	assert_in_range(first.issued_ms, before, clock_wall_ms());
	assert_memory_equal(first.process, cluster_process(cluster), PEER_PROCESS_BYTES);
	assert_int_equal(second.sequence, first.sequence + 1);
	/* Of nobody, who may nothing. */
	assert_string_equal(first.client, "");
	assert_string_equal(first.user, "");
	assert_string_equal(first.apikey, "");
	assert_false(first.admin || first.has_digest || first.has_call || first.groups_len);
	assert_true(str_equal(peer_claims_key(cluster, snapshot), cluster_key(cluster)));
	/* A leader's secret, once it signs. */
	snapshot->peers = (struct peer_keys){ .has = true, .key = { 9 } };
	assert_memory_equal(peer_claims_key(cluster, snapshot).at, snapshot->peers.key, PEER_KEY_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_damaged_state_is_refused_at_every_byte, start, stop),
		cmocka_unit_test_setup_teardown(a_state_without_a_digest_is_loaded, start, stop),
		cmocka_unit_test(trust_begins_anew_with_another_ring),
		cmocka_unit_test(a_failed_leader_is_left_alone_for_a_while),
		cmocka_unit_test(names_and_urls_are_completed),
		cmocka_unit_test(a_static_member_finds_itself_and_its_peers),
		cmocka_unit_test(calls_are_signed_with_a_derived_key),
		cmocka_unit_test(each_call_has_its_number),
		cmocka_unit_test(a_call_says_who_makes_it_and_to_whom),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
