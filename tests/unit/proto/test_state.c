/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_state - tables that share what did not change, and documents that are applied whole or not
 * at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "proto/state.h"

static struct entity *user(const char *id, uint64_t revision)
{
	const struct user body = { .enabled = true };

	return entity_new(ENTITY_USER, str_of(id), revision, &body);
}

/* A key whose secret's hash begins with `secret` and whose id tells its number. */
static struct entity *key(unsigned number, unsigned secret, uint64_t revision)
{
	char hash[65];
	char id[32];
	struct apikey body = { .owner = "alice", .secret_hash = hash, .enabled = true };

	(void)snprintf(id, sizeof(id), "zak_%08u", number);
	(void)snprintf(hash, sizeof(hash), "%08x%056x", secret * 2654435761u, secret);
	return entity_new(ENTITY_APIKEY, str_of(id), revision, &body);
}

/* state_change() with one entity; takes both references. */
static struct state *changed(struct state *old, struct entity *entity)
{
	struct state *state = state_change(old, &entity, 1, entity_revision(entity));

	entity_free(entity);
	state_free(old);
	return state;
}

static struct state *state_of_users(const char *const *ids, size_t len)
{
	struct state *state = state_new();

	for (size_t i = 0; i < len; i++)
		state = changed(state, user(ids[i], i + 1));
	return state;
}

static void an_empty_state_has_nothing(void **unused)
{
	AUTO(state) *state = state_new();

	(void)unused;
	assert_int_equal(state_revision(state), 0);
	assert_int_equal(state_count(state, ENTITY_USER), 0);
	assert_null(state_at(state, ENTITY_USER, 0));
	assert_null(state_find(state, ENTITY_USER, STR("alice")));
	assert_null(state_find_secret(state, STR("00")));
	assert_int_equal(state_after(state, ENTITY_USER, STR("")), 0);
	state_free(NULL);
}

static void entities_are_sorted_and_found(void **unused)
{
	static const char *const ids[] = { "carol", "alice", "dave", "bob", "al" };
	AUTO(state) *state = state_of_users(ids, 5);

	(void)unused;
	assert_int_equal(state_revision(state), 5);
	assert_int_equal(state_count(state, ENTITY_USER), 5);
	assert_true(str_is(entity_id(state_at(state, ENTITY_USER, 0)), "al"));
	assert_true(str_is(entity_id(state_at(state, ENTITY_USER, 4)), "dave"));
	for (size_t i = 0; i < 5; i++)
		assert_true(str_is(entity_id(state_find(state, ENTITY_USER, str_of(ids[i]))), ids[i]));
	assert_null(state_find(state, ENTITY_USER, STR("eve")));
	assert_null(state_find(state, ENTITY_APIKEY, STR("alice")));
}

static void pages_follow_an_id(void **unused)
{
	static const char *const ids[] = { "a", "c", "e" };
	AUTO(state) *state = state_of_users(ids, 3);

	(void)unused;
	assert_int_equal(state_after(state, ENTITY_USER, STR("")), 0);
	assert_int_equal(state_after(state, ENTITY_USER, STR("a")), 1);
	assert_int_equal(state_after(state, ENTITY_USER, STR("b")), 1);
	assert_int_equal(state_after(state, ENTITY_USER, STR("e")), 3);
	assert_int_equal(state_after(state, ENTITY_USER, STR("z")), 3);
}

static void what_did_not_change_is_shared(void **unused)
{
	static const char *const ids[] = { "a", "b", "c" };
	AUTO(state) *old = state_of_users(ids, 3);
	AUTO(entity) *put = user("b", 4);
	AUTO(entity) *gone = entity_new_deleted(ENTITY_USER, STR("c"), 4);
	AUTO(entity) *never = entity_new_deleted(ENTITY_USER, STR("x"), 4);
	struct entity *list[] = { gone, never, put };
	AUTO(state) *new = state_change(old, list, 3, 4);

	(void)unused;
	assert_int_equal(state_count(old, ENTITY_USER), 3);
	assert_int_equal(state_count(new, ENTITY_USER), 2);
	assert_ptr_equal(state_at(old, ENTITY_USER, 0), state_at(new, ENTITY_USER, 0));
	assert_ptr_equal(state_find(new, ENTITY_USER, STR("b")), put);
	assert_ptr_not_equal(state_find(old, ENTITY_USER, STR("b")), put);
	assert_null(state_find(new, ENTITY_USER, STR("c")));
	assert_non_null(state_find(old, ENTITY_USER, STR("c")));
	assert_int_equal(state_revision(new), 4);
}

static void of_two_with_one_id_the_later_counts(void **unused)
{
	AUTO(state) *old = state_new();
	AUTO(entity) *first = user("a", 1);
	AUTO(entity) *second = user("a", 1);
	AUTO(entity) *gone = entity_new_deleted(ENTITY_USER, STR("b"), 1);
	AUTO(entity) *back = user("b", 1);
	struct entity *list[] = { back, first, gone, second };
	AUTO(state) *new = state_change(old, list, 4, 1);

	(void)unused;
	assert_int_equal(state_count(new, ENTITY_USER), 1);
	assert_ptr_equal(state_find(new, ENTITY_USER, STR("a")), second);
}

static struct entity *find_secret_of(const struct state *state, struct entity *entity)
{
	return state_find_secret(state, str_of(entity_apikey(entity)->secret_hash));
}

static void keys_are_found_by_secret(void **unused)
{
	AUTO(state) *state = state_new();
	AUTO(entity) *old = key(7, 7, 0);
	AUTO(entity) *new = key(7, 1007, 101);

	(void)unused;
	for (unsigned i = 0; i < 100; i++)
		state = changed(state, key(i * 37 % 100, i * 37 % 100, i + 1));
	for (unsigned i = 0; i < 100; i++) {
		struct entity *entity = state_at(state, ENTITY_APIKEY, i);

		assert_ptr_equal(find_secret_of(state, entity), entity);
	}
	state = changed(state, entity_ref(new));
	assert_null(find_secret_of(state, old));
	assert_ptr_equal(find_secret_of(state, new), new);
	state = changed(state, entity_new_deleted(ENTITY_APIKEY, entity_id(new), 102));
	assert_null(find_secret_of(state, new));
	assert_int_equal(state_count(state, ENTITY_APIKEY), 99);
	assert_null(state_find_secret(state, STR("")));
}

static void one_secret_of_two_keys_survives_one(void **unused)
{
	AUTO(state) *state = changed(changed(state_new(), key(1, 5, 1)), key(2, 5, 2));
	AUTO(entity) *first = entity_ref(state_at(state, ENTITY_APIKEY, 0));

	(void)unused;
	assert_ptr_equal(find_secret_of(state, first), first);
	state = changed(state, entity_new_deleted(ENTITY_APIKEY, entity_id(first), 3));
	assert_true(str_is(entity_id(find_secret_of(state, first)), "zak_00000002"));
}

/* ---- on the wire ---- */

/* The delta that leads from `old` to what comes of these. */
static void encode_delta(const struct state *old, uint64_t revision, struct entity *const *changed,
	size_t len, struct buf *into)
{
	AUTO(state) *to = state_change(old, changed, len, revision);

	state_encode_delta(state_revision(old), to, changed, len, into);
}

/* Applies bytes that lie in a block of just their size. */
static struct state *applied(struct str bytes, const struct state *old, struct error *err)
{
	char *copy = malloc(bytes.len ? bytes.len : 1);
	struct state *state = NULL;
	bool good;

	assert_non_null(copy);
	memcpy(copy, bytes.at, bytes.len);
	memset(err, 0, sizeof(*err));
	good = state_apply(str_from(copy, bytes.len), old, &state, err);
	free(copy);
	assert_true(good == (state != NULL) && good == !err->text[0]);
	return state;
}

static struct state *sample(void)
{
	const char *users[] = { "alice" };
	const char *actions[] = { "read" };
	struct policy_rule rule = { .users = { users, 1 }, .actions = { actions, 1 } };
	struct policy policy = { .policies = &rule, .policies_len = 1 };
	struct state *state = changed(changed(state_new(), user("alice", 1)), key(1, 1, 2));

	return changed(state, entity_new(ENTITY_POLICY, STR("team/**"), 3, &policy));
}

static struct entity *user_of_cost(const char *id, unsigned cost, uint64_t revision)
{
	char hash[64];
	const struct user body = { .enabled = true, .password_hash = hash };

	(void)snprintf(
		hash, sizeof(hash), "$2b$%02u$CwTycUXWue0Thq9StjUM0uZoY1cT1ubejGT6IK5mYMfwPxXhCdS96", cost);
	return entity_new(ENTITY_USER, str_of(id), revision, &body);
}

static void the_most_expensive_password_is_known(void **unused)
{
	struct state *state = state_new(), *copy;
	AUTO_FINI(buf) bytes = buf_limit(100000);

	(void)unused;
	state = changed(state, user("zoe", 1));
	assert_int_equal(state_password_cost(state), 0);
	state = changed(state, user_of_cost("alice", 12, 2));
	state = changed(state, user_of_cost("bob", 5, 3));
	assert_int_equal(state_password_cost(state), 12);
	state_encode_full(state, &bytes);
	assert_true(state_apply(buf_str(&bytes), NULL, &copy, NULL));
	assert_int_equal(state_password_cost(copy), 12);
	state_free(copy);
	state = changed(state, entity_new_deleted(ENTITY_USER, STR("alice"), 4));
	assert_int_equal(state_password_cost(state), 12);
	state_free(state);
}

static void a_full_state_arrives_whole(void **unused)
{
	AUTO_FINI(buf) b = buf_limit(1024 * 1024);
	AUTO_FINI(buf) again = buf_limit(1024 * 1024);
	AUTO(state) *state = sample();
	AUTO(state) *copy = NULL;
	struct error err;

	(void)unused;
	state_encode_full(state, &b);
	copy = applied(buf_str(&b), NULL, &err);
	assert_non_null(copy);
	assert_int_equal(state_revision(copy), 3);
	assert_string_equal(
		entity_policy(state_at(copy, ENTITY_POLICY, 0))->policies[0].actions.at[0], "read");
	assert_non_null(find_secret_of(copy, state_at(state, ENTITY_APIKEY, 0)));
	state_encode_full(copy, &again);
	assert_true(str_equal(buf_str(&b), buf_str(&again)));
}

static void a_full_state_is_taken_over_any_old_one(void **unused)
{
	static const char *const ids[] = { "x", "y", "z", "q", "r" };
	AUTO_FINI(buf) b = buf_limit(1024 * 1024);
	AUTO(state) *state = sample();
	AUTO(state) *old = state_of_users(ids, 5);
	AUTO(state) *copy = NULL;
	struct error err;

	(void)unused;
	state_encode_full(state, &b);
	copy = applied(buf_str(&b), old, &err);
	assert_non_null(copy);
	assert_int_equal(state_revision(copy), 3);
	assert_null(state_find(copy, ENTITY_USER, STR("x")));
}

static void a_delta_follows_its_state(void **unused)
{
	AUTO_FINI(buf) b = buf_limit(1024 * 1024);
	AUTO(state) *old = sample();
	AUTO(state) *empty = state_new();
	AUTO(state) *new = NULL;
	AUTO(entity) *put = user("bob", 4);
	AUTO(entity) *gone = entity_new_deleted(ENTITY_POLICY, STR("team/**"), 5);
	struct entity *list[] = { put, gone };
	struct error err;

	(void)unused;
	encode_delta(old, 5, list, 2, &b);
	new = applied(buf_str(&b), old, &err);
	assert_non_null(new);
	assert_int_equal(state_revision(new), 5);
	assert_int_equal(state_count(new, ENTITY_USER), 2);
	assert_int_equal(state_count(new, ENTITY_POLICY), 0);
	assert_ptr_equal(
		state_find(new, ENTITY_USER, STR("alice")), state_find(old, ENTITY_USER, STR("alice")));
	assert_null(applied(buf_str(&b), new, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
	assert_null(applied(buf_str(&b), empty, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
	assert_null(applied(buf_str(&b), NULL, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
}

static struct entity *worker(const char *id, uint64_t revision)
{
	static const char hash[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	const struct worker_key body = { .secret_hash = hash, .description = "of worker", .enabled = true };

	return entity_new(ENTITY_WORKER, str_of(id), revision, &body);
}

/* A leader's state that has them. */
static void credentials_of_workers_stay_at_the_leader(void **unused)
{
	AUTO_FINI(buf) full = buf_limit(1024 * 1024);
	AUTO_FINI(buf) delta = buf_limit(1024 * 1024);
	AUTO(state) *old = sample();
	AUTO(state) *leaders = changed(sample(), worker("one", 4));
	AUTO(state) *copy = NULL;
	AUTO(state) *followed = NULL;
	AUTO(entity) *put = worker("two", 4);
	AUTO(entity) *gone = entity_new_deleted(ENTITY_WORKER, STR("one"), 5);
	AUTO(entity) *bob = user("bob", 5);
	struct entity *list[] = { put, bob, gone };
	struct error err;

	(void)unused;
	state_encode_full(leaders, &full);
	encode_delta(old, 5, list, 3, &delta);
	assert_null(memmem(full.at, full.len, "worker", 6));
	assert_null(memmem(delta.at, delta.len, "worker", 6));
	copy = applied(buf_str(&full), NULL, &err);
	followed = applied(buf_str(&delta), old, &err);
	assert_non_null(copy);
	assert_non_null(followed);
	assert_int_equal(state_revision(copy), 4);
	assert_int_equal(state_revision(followed), 5);
	assert_int_equal(state_count(followed, ENTITY_USER), 2);
	/* A delta of nothing else moves the revision all the same. */
	buf_clear(&delta);
	encode_delta(old, 4, list, 1, &delta);
	state_free(followed);
	followed = applied(buf_str(&delta), old, &err);
	assert_non_null(followed);
	assert_int_equal(state_revision(followed), 4);
}

/* A delta of these two over revision 3 is refused, with these words. */
static void delta_refused(uint64_t revision, struct entity *one, struct entity *two, const char *says)
{
	AUTO_FINI(buf) b = buf_limit(1024 * 1024);
	AUTO(state) *old = sample();
	struct entity *list[] = { one, two };
	struct error err;

	encode_delta(old, revision, list, 2, &b);
	assert_null(applied(buf_str(&b), old, &err));
	assert_int_equal(err.kind, ERROR_INVALID);
	if (!strstr(err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
	entity_free(one);
	entity_free(two);
}

static void a_wrong_delta_is_refused(void **unused)
{
	(void)unused;
	delta_refused(5, user("bob", 4), user("bob", 5), "twice");
	delta_refused(5, user("bob", 4), entity_new_deleted(ENTITY_USER, STR("bob"), 5), "twice");
	delta_refused(5, user("bob", 4), user("carol", 6), "out of the document's");
	delta_refused(5, user("bob", 3), user("carol", 5), "out of the document's");
	delta_refused(2, user("bob", 1), user("carol", 2), "backwards");
	delta_refused(5, user("b o b", 4), user("carol", 5), "user's name");
}

static void full_refused(void (*write)(struct buf *), const char *says)
{
	AUTO_FINI(buf) b = buf_limit(1024 * 1024);
	struct error err;

	write(&b);
	assert_null(applied(buf_str(&b), NULL, &err));
	if (!strstr(err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static void write_head_of(struct buf *b, size_t members, uint64_t format, const char *kind, uint64_t from,
	uint64_t revision, size_t len)
{
	pack_map(b, members);
	pack_str(b, STR("v"));
	pack_uint(b, format);
	pack_str(b, STR("kind"));
	pack_str(b, str_of(kind));
	pack_str(b, STR("from"));
	pack_uint(b, from);
	pack_str(b, STR("revision"));
	pack_uint(b, revision);
	pack_str(b, STR("entities"));
	pack_array(b, len);
}

/* No digest follows: the end of it, or in its place. */
static void write_any(
	struct buf *b, uint64_t format, const char *kind, uint64_t from, uint64_t revision, size_t len)
{
	write_head_of(b, 5, format, kind, from, revision, len);
}

static void write_newer(struct buf *b)
{
	write_any(b, 3, "full", 0, 1, 0);
}
static void write_no_digest(struct buf *b)
{
	write_any(b, 2, "full", 0, 1, 0);
}
static void write_short_digest(struct buf *b)
{
	write_head_of(b, 6, 2, "full", 0, 1, 0);
	pack_str(b, STR("digest"));
	pack_bin(b, STR("0123456789abcdef"));
}
static void write_kind(struct buf *b)
{
	write_any(b, 1, "partial", 0, 1, 0);
}
static void write_from(struct buf *b)
{
	write_any(b, 1, "full", 1, 1, 0);
}
static void write_huge(struct buf *b)
{
	write_any(b, 1, "full", 0, UINT64_MAX, 0);
}
/* Nothing of ours writes one. */
static void put_nil(struct buf *into)
{
	buf_putc(into, '\xc0');
}
static void write_nil(struct buf *b)
{
	write_any(b, 1, "full", 0, 1, 1);
	put_nil(b);
}
static void write_list(struct buf *b)
{
	pack_array(b, 0);
}
static void write_worker(struct buf *b)
{
	AUTO(entity) *one = worker("one", 1);

	write_any(b, 1, "full", 0, 1, 1);
	entity_encode(one, b);
}

static void write_tombstone(struct buf *b)
{
	AUTO(entity) *gone = entity_new_deleted(ENTITY_USER, STR("bob"), 1);

	write_any(b, 1, "full", 0, 1, 1);
	entity_encode(gone, b);
}

static void a_wrong_full_state_is_refused(void **unused)
{
	(void)unused;
	full_refused(write_newer, "v:");
	full_refused(write_no_digest, "digest: must be 32 bytes");
	full_refused(write_short_digest, "digest: must be 32 bytes");
	full_refused(write_kind, "kind:");
	full_refused(write_from, "from:");
	full_refused(write_huge, "revision:");
	full_refused(write_nil, "entities[0]");
	full_refused(write_list, "v:");
	full_refused(write_worker, "no entity of kind worker");
	full_refused(write_tombstone, "tombstone");
}

static void too_many_entities_are_refused(void **unused)
{
	AUTO_FINI(buf) b = buf_limit(4 * 1024 * 1024);
	struct error err;

	(void)unused;
	write_any(&b, 1, "full", 0, 1, STATE_ENTITIES_MAX + 1);
	for (size_t i = 0; i <= STATE_ENTITIES_MAX; i++)
		put_nil(&b);
	assert_null(applied(buf_str(&b), NULL, &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
}

static void an_entity_over_its_bounds_is_refused(void **unused)
{
	AUTO_FINI(buf) b = buf_limit(1024 * 1024);
	AUTO(state) *state = NULL;
	char label[300];
	struct apikey body = { .owner = "alice",
		.label = label,
		.secret_hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" };
	struct error err;

	(void)unused;
	memset(label, 'x', sizeof(label));
	label[299] = '\0';
	state = changed(state_new(), entity_new(ENTITY_APIKEY, STR("zak_12345678"), 1, &body));
	state_encode_full(state, &b);
	assert_null(applied(buf_str(&b), NULL, &err));
	assert_non_null(strstr(err.text, "label"));
}

static void every_truncation_is_refused(void **unused)
{
	AUTO_FINI(buf) b = buf_limit(1024 * 1024);
	AUTO(state) *state = sample();
	struct error err;

	(void)unused;
	state_encode_full(state, &b);
	for (size_t len = 0; len < b.len; len++)
		assert_null(applied(str_from(b.at, len), NULL, &err));
}

/* A flipped bit may still give a good document, but never harm, and never a table out of order. */
static void flipped_bits_do_no_harm(void **unused)
{
	AUTO_FINI(buf) b = buf_limit(1024 * 1024);
	AUTO(state) *state = sample();
	struct error err;

	(void)unused;
	state_encode_full(state, &b);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		AUTO(state) *copy = NULL;

		b.at[bit / 8] = (char)(b.at[bit / 8] ^ 1 << bit % 8);
		copy = applied(buf_str(&b), state, &err);
		for (size_t i = 0; copy && i < state_count(copy, ENTITY_APIKEY); i++)
			assert_non_null(find_secret_of(copy, state_at(copy, ENTITY_APIKEY, i)));
		b.at[bit / 8] = (char)(b.at[bit / 8] ^ 1 << bit % 8);
	}
}

/* ---- the digest ---- */

static void digest_is(const struct state *a, const struct state *b, bool same)
{
	assert_int_equal(memcmp(state_digest(a), state_digest(b), STATE_DIGEST_BYTES) == 0, same);
}

static struct state *of_all(struct entity *const *list, size_t len, uint64_t revision)
{
	AUTO(state) *empty = state_new();

	return state_change(empty, list, len, revision);
}

static void a_digest_is_of_what_is_there_however_it_came(void **unused)
{
	AUTO(entity) *ann = user("ann", 1), *bob = user("bob", 2), *old = key(1, 1, 3);
	AUTO(entity) *new = key(1, 2, 4), *gone = entity_new_deleted(ENTITY_USER, STR("bob"), 5);
	AUTO(entity) *never = entity_new_deleted(ENTITY_USER, STR("carl"), 5);
	AUTO(entity) *worker_key = worker("one", 5);
	struct entity *way[] = { old, gone, bob, ann }, *back[] = { ann, bob, old };
	struct entity *then[] = { new, gone, never, worker_key }, *end[] = { new, ann };
	AUTO(state) *first = of_all(way, 4, 3), *again = of_all(back, 3, 3);
	AUTO(state) *stepped = state_change(first, then, 4, 5), *made = of_all(end, 2, 5);
	AUTO(state) *none = state_new(), *emptied = NULL;
	struct entity *all_gone[] = { entity_new_deleted(ENTITY_USER, STR("ann"), 6),
		entity_new_deleted(ENTITY_APIKEY, entity_id(new), 6) };
	char hex[STATE_DIGEST_TEXT];

	(void)unused;
	digest_is(first, again, true);
	digest_is(stepped, made, true);
	digest_is(first, stepped, false);
	assert_true(state_same(stepped, made) && !state_same(first, stepped));
	emptied = state_change(stepped, all_gone, 2, 6);
	digest_is(emptied, none, true);
	assert_false(state_same(emptied, none));
	state_digest_hex(none, hex);
	assert_string_equal(hex, "0000000000000000000000000000000000000000000000000000000000000000");
	entity_free(all_gone[0]);
	entity_free(all_gone[1]);
}

/* It is the sum of SHA-256 over the entities: this is what others than we compute. */
static void a_digest_is_a_sum_of_hashes(void **unused)
{
	AUTO(state) *state = changed(changed(state_new(), user("ann", 1)), user("bob", 2));
	uint64_t want[4] = { 0 };
	uint8_t raw[HASH_MAX];

	(void)unused;
	for (size_t i = 0; i < 2; i++) {
		AUTO_FINI(buf) b = buf_limit(4096);

		entity_encode(state_at(state, ENTITY_USER, i), &b);
		hash_bytes(HASH_SHA256, b.at, b.len, raw);
		for (size_t at = 0; at < 32; at++)
			want[at / 8] += (uint64_t)raw[at] << at % 8 * 8;
	}
	for (size_t at = 0; at < 32; at++)
		assert_int_equal(state_digest(state)[at], want[at / 8] >> at % 8 * 8 & 0xff);
}

/* A worker that missed a change has the revision, and not the state. */
static void a_delta_that_leads_elsewhere_is_refused(void **unused)
{
	AUTO_FINI(buf) b = buf_limit(100000);
	AUTO(state) *leaders = sample();
	AUTO(entity) *other = user("alice", 3), *put = user("bob", 4);
	AUTO(state) *ours = state_change(leaders, &other, 1, 3);
	AUTO(state) *next = NULL;
	struct error err;

	(void)unused;
	encode_delta(leaders, 4, &put, 1, &b);
	assert_null(applied(buf_str(&b), ours, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
	assert_non_null(strstr(err.text, "digest"));
	next = applied(buf_str(&b), leaders, &err);
	assert_non_null(next);
}

static void a_full_state_of_another_digest_is_refused(void **unused)
{
	AUTO_FINI(buf) b = buf_limit(100000);
	AUTO(state) *state = sample();
	struct error err;

	(void)unused;
	state_encode_full(state, &b);
	b.at[b.len - 1] ^= 1;
	assert_null(applied(buf_str(&b), NULL, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
}

/* Of a version that has more members than ours: what came counts, not what we would make of it. */
static void an_entity_with_members_that_we_do_not_know_counts_as_it_came(void **unused)
{
	AUTO_FINI(buf) one = buf_limit(4096);
	AUTO_FINI(buf) b = buf_limit(4096);
	AUTO_FINI(buf) file = buf_limit(4096);
	uint8_t digest[ENTITY_HASH_BYTES];
	AUTO(state) *state = NULL, *loaded = NULL;
	struct error err;

	(void)unused;
	pack_map(&one, 4);
	pack_str(&one, STR("kind"));
	pack_str(&one, STR("user"));
	pack_str(&one, STR("id"));
	pack_str(&one, STR("ann"));
	pack_str(&one, STR("revision"));
	pack_uint(&one, 300);
	pack_str(&one, STR("body"));
	pack_map(&one, 1);
	pack_str(&one, STR("shoeSize"));
	pack_uint(&one, 44);
	write_head_of(&b, 6, 2, "full", 0, 300, 1);
	buf_add(&b, buf_str(&one));
	entity_hash_put(entity_hash_bytes(buf_str(&one)), digest);
	pack_str(&b, STR("digest"));
	pack_bin(&b, str_from((const char *)digest, sizeof(digest)));
	state = applied(buf_str(&b), NULL, &err);
	assert_non_null(state);
	assert_memory_equal(state_digest(state), digest, sizeof(digest));
	/* What we write of it can be read, though it is another state then. */
	state_encode_full(state, &file);
	loaded = applied(buf_str(&file), NULL, &err);
	assert_non_null(loaded);
	assert_false(state_same(state, loaded));
}

/* As files of before hold it. */
static void a_file_without_a_digest_is_read(void **unused)
{
	AUTO_FINI(buf) b = buf_limit(4096);
	AUTO(entity) *ann = user("ann", 1);
	AUTO(state) *empty = state_new(), *state = NULL;
	AUTO(state) *want = state_change(empty, &ann, 1, 1);
	struct error err;

	(void)unused;
	write_any(&b, 1, "full", 0, 1, 1);
	entity_encode(ann, &b);
	state = applied(buf_str(&b), NULL, &err);
	assert_non_null(state);
	assert_true(state_same(state, want));
	assert_null(applied(buf_str(&b), empty, &err));
	assert_non_null(strstr(err.text, "v: must be 2"));
}

/* ---- many ---- */

#define MANY 10000u

static struct state *many_keys(void)
{
	struct entity **list = xnew_array(struct entity *, MANY);
	AUTO(state) *empty = state_new();
	struct state *state;

	for (unsigned i = 0; i < MANY; i++)
		list[i] = key(i, i, 1);
	state = state_change(empty, list, MANY, 1);
	for (unsigned i = 0; i < MANY; i++)
		entity_free(list[i]);
	free(list);
	return state;
}

static void a_small_delta_over_many_keys_is_cheap(void **unused)
{
	AUTO_FINI(buf) full = buf_limit(64 * 1024 * 1024);
	AUTO(state) *state = many_keys();
	AUTO(state) *copy = NULL;
	AUTO(state) *next = NULL;
	AUTO(entity) *put = key(5000, MANY + 1, 2);
	AUTO_FINI(buf) delta = buf_limit(64 * 1024);
	struct error err;
	int64_t start = clock_us();

	(void)unused;
	state_encode_full(state, &full);
	print_message(
		"encode %u keys, %zu bytes: %lld us\n", MANY, full.len, (long long)(clock_us() - start));
	start = clock_us();
	copy = applied(buf_str(&full), NULL, &err);
	assert_non_null(copy);
	print_message("apply them: %lld us\n", (long long)(clock_us() - start));
	encode_delta(state, 2, &put, 1, &delta);
	start = clock_us();
	next = applied(buf_str(&delta), copy, &err);
	print_message("apply a delta of one: %lld us\n", (long long)(clock_us() - start));
	assert_non_null(next);
	assert_int_equal(state_count(next, ENTITY_APIKEY), MANY);
	assert_non_null(find_secret_of(next, put));
	for (unsigned i = 0; i < MANY; i += 97)
		assert_non_null(find_secret_of(next, state_at(next, ENTITY_APIKEY, i)));
}

/* Keys that come, change their secrets, and go, all at once and one after the other. */
static void many_changes_at_once_make_the_same_state(void **unused)
{
	struct entity **list = xnew_array(struct entity *, MANY);
	struct state *all = state_new(), *one = state_new();

	(void)unused;
	for (unsigned round = 0; round < 4; round++) {
		unsigned len = round % 2 ? 300 : 900;

		for (unsigned i = 0; i < len; i++) {
			unsigned name = i * 7 % 1000;

			list[i] = i % 5 == 4
					  ? entity_new_deleted(ENTITY_APIKEY, entity_id(list[0]), round + 1)
					  : key(name, round * 10000 + (round == 2 && name % 2 ? name : i),
						    round + 1);
		}
		struct state *next = state_change(all, list, len, round + 1);
		state_free(all);
		all = next;
		for (unsigned i = 0; i < len; i++) {
			next = state_change(one, &list[i], 1, round + 1);
			state_free(one);
			one = next;
		}
		assert_true(state_same(all, one));
		assert_int_equal(state_bytes(all), state_bytes(one));
		for (size_t i = 0; i < state_count(one, ENTITY_APIKEY); i++) {
			assert_ptr_equal(state_at(all, ENTITY_APIKEY, i), state_at(one, ENTITY_APIKEY, i));
			assert_ptr_equal(find_secret_of(all, state_at(one, ENTITY_APIKEY, i)),
				find_secret_of(one, state_at(one, ENTITY_APIKEY, i)));
		}
		assert_int_equal(state_count(all, ENTITY_APIKEY), state_count(one, ENTITY_APIKEY));
		for (unsigned i = 0; i < len; i++)
			entity_free(list[i]);
	}
	free(list);
	state_free(all);
	state_free(one);
}

/* Four threads take the current state, read it, and now and then put a changed one in its place. */
struct shared {
	pthread_mutex_t lock;
	struct state *current;
};

static struct state *current_of(struct shared *shared)
{
	struct state *state;

	(void)pthread_mutex_lock(&shared->lock);
	state = state_ref(shared->current);
	(void)pthread_mutex_unlock(&shared->lock);
	return state;
}

static void publish(struct shared *shared, struct state *state)
{
	struct state *old;

	(void)pthread_mutex_lock(&shared->lock);
	old = shared->current;
	shared->current = state;
	(void)pthread_mutex_unlock(&shared->lock);
	state_free(old);
}

static void *work(void *arg)
{
	struct shared *shared = arg;

	for (unsigned round = 0; round < 300; round++) {
		AUTO(state) *state = current_of(shared);
		AUTO(entity) *entity = key(round % 64, round, state_revision(state) + 1);
		AUTO(entity) *kept = entity_ref(state_at(state, ENTITY_APIKEY, round % 32));

		if (kept)
			CHECK(find_secret_of(state, kept));
		publish(shared, state_change(state, &entity, 1, state_revision(state) + 1));
	}
	return NULL;
}

static void threads_share_states(void **unused)
{
	struct shared shared = { .lock = PTHREAD_MUTEX_INITIALIZER, .current = state_new() };
	pthread_t threads[4];

	(void)unused;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &shared), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(state_count(shared.current, ENTITY_APIKEY) > 0);
	state_free(shared.current);
}

/* Whoever is first takes the hash; all get the same. */
static void *hash_it(void *arg)
{
	struct entity_hash *hash = xnew(struct entity_hash);

	*hash = entity_hash(arg);
	return hash;
}

static void threads_hash_one_entity(void **unused)
{
	(void)unused;
	for (unsigned round = 0; round < 50; round++) {
		AUTO(entity) *entity = key(round, round, 1);
		AUTO_FINI(buf) b = buf_limit(4096);
		struct entity_hash want;
		pthread_t threads[4];
		void *hash;

		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, hash_it, entity), 0);
		entity_encode(entity, &b);
		want = entity_hash_bytes(buf_str(&b));
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(pthread_join(threads[i], &hash), 0);
			assert_memory_equal(hash, &want, sizeof(want));
			free(hash);
		}
	}
}

/* ---- a whole one over one that has most of it ---- */

/* Keys and users, of each number what `which` says: not there, of one revision, of another. */
static struct state *state_of(const uint8_t *which, unsigned len, uint64_t revision)
{
	struct entity **list = xnew_array(struct entity *, 2 * len + 1);
	AUTO(state) *empty = state_new();
	struct state *state;
	char id[32];
	size_t n = 0;

	for (unsigned i = 0; i < len; i++) {
		if (!which[i])
			continue;
		(void)snprintf(id, sizeof(id), "user-%08u", i);
		list[n++] = user(id, which[i]);
		list[n++] = key(i, which[i] * 1000000 + i, which[i]);
	}
	state = state_change(empty, list, n, revision);
	while (n)
		entity_free(list[--n]);
	free(list);
	return state;
}

static size_t count_shared(const struct state *a, const struct state *b, enum entity_kind kind)
{
	size_t shared = 0;

	for (size_t i = 0; i < state_count(a, kind); i++) {
		struct entity *one = state_at(a, kind, i);

		shared += state_find(b, kind, entity_id(one)) == one;
	}
	return shared;
}

/* The same as if there had been no old one, down to the bytes; and it shares what it can. */
static void check_over(const uint8_t *before, const uint8_t *after, unsigned len, size_t kept)
{
	AUTO_FINI(buf) bytes = buf_limit(STATE_BYTES_MAX);
	AUTO_FINI(buf) plain = buf_limit(STATE_BYTES_MAX);
	AUTO_FINI(buf) over = buf_limit(STATE_BYTES_MAX);
	AUTO(state) *old = state_of(before, len, 10);
	AUTO(state) *new = state_of(after, len, 20);
	AUTO(state) *alone = NULL, *shared = NULL;
	bool full = false;

	state_encode_full(new, &bytes);
	assert_true(state_apply(buf_str(&bytes), NULL, &alone, NULL));
	assert_true(state_apply_within(STATE_BYTES_MAX, buf_str(&bytes), old, &shared, &full, NULL));
	assert_true(full);
	assert_true(state_same(alone, shared) && state_same(new, shared));
	assert_int_equal(state_bytes(alone), state_bytes(shared));
	assert_true(state_encode_full(alone, &plain) && state_encode_full(shared, &over));
	assert_true(str_equal(buf_str(&plain), buf_str(&over)));
	assert_int_equal(count_shared(shared, old, ENTITY_USER), kept);
	assert_int_equal(count_shared(shared, old, ENTITY_APIKEY), kept);
	for (unsigned i = 0; i < len; i++) {
		char hash[65];

		(void)snprintf(hash, sizeof(hash), "%08x%056x", (after[i] * 1000000 + i) * 2654435761u,
			after[i] * 1000000 + i);
		assert_int_equal(!!after[i], !!state_find_secret(shared, str_of(hash)));
	}
}

static void a_whole_state_shares_what_is_there(void **unused)
{
	enum { LEN = 300 };
	uint8_t before[LEN], after[LEN];

	(void)unused;
	for (unsigned round = 0; round < 40; round++) {
		unsigned seed = round * 7919 + 1;
		size_t kept = 0;

		for (unsigned i = 0; i < LEN; i++) {
			seed = seed * 1103515245 + 12345;
			before[i] = seed >> 16 & 7 ? 1 : 0;
			/* From hardly any change to none that is left. */
			after[i] = (seed >> 20) % 40 < round ? (uint8_t)(seed >> 26 & 3) : before[i];
			kept += before[i] && after[i] == before[i];
		}
		check_over(before, after, LEN, kept);
	}
}

/* So that what was made of them need not be made again. */
static void kinds_of_a_whole_state_that_are_the_same_are_known_as_such(void **unused)
{
	AUTO_FINI(buf) bytes = buf_limit(STATE_BYTES_MAX);
	static const char *const ids[] = { "a", "b", "c", "d" };
	AUTO(state) *old = state_of_users(ids, 4);
	AUTO(entity) *one = key(1, 1, 9);
	AUTO(state) *with_key = state_change(old, &one, 1, 9);
	AUTO(state) *new = NULL;

	(void)unused;
	state_encode_full(with_key, &bytes);
	assert_true(state_apply(buf_str(&bytes), old, &new, NULL));
	assert_true(state_same(new, with_key));
	assert_true(state_same_kind(new, old, ENTITY_USER));
	assert_false(state_same_kind(new, old, ENTITY_APIKEY));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_state_has_nothing),
		cmocka_unit_test(entities_are_sorted_and_found),
		cmocka_unit_test(pages_follow_an_id),
		cmocka_unit_test(what_did_not_change_is_shared),
		cmocka_unit_test(of_two_with_one_id_the_later_counts),
		cmocka_unit_test(keys_are_found_by_secret),
		cmocka_unit_test(one_secret_of_two_keys_survives_one),
		cmocka_unit_test(the_most_expensive_password_is_known),
		cmocka_unit_test(a_full_state_arrives_whole),
		cmocka_unit_test(a_full_state_is_taken_over_any_old_one),
		cmocka_unit_test(a_delta_follows_its_state),
		cmocka_unit_test(credentials_of_workers_stay_at_the_leader),
		cmocka_unit_test(a_wrong_delta_is_refused),
		cmocka_unit_test(a_wrong_full_state_is_refused),
		cmocka_unit_test(too_many_entities_are_refused),
		cmocka_unit_test(an_entity_over_its_bounds_is_refused),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(flipped_bits_do_no_harm),
		cmocka_unit_test(a_digest_is_of_what_is_there_however_it_came),
		cmocka_unit_test(a_digest_is_a_sum_of_hashes),
		cmocka_unit_test(a_delta_that_leads_elsewhere_is_refused),
		cmocka_unit_test(a_full_state_of_another_digest_is_refused),
		cmocka_unit_test(an_entity_with_members_that_we_do_not_know_counts_as_it_came),
		cmocka_unit_test(a_file_without_a_digest_is_read),
		cmocka_unit_test(a_small_delta_over_many_keys_is_cheap),
		cmocka_unit_test(many_changes_at_once_make_the_same_state),
		cmocka_unit_test(a_whole_state_shares_what_is_there),
		cmocka_unit_test(kinds_of_a_whole_state_that_are_the_same_are_known_as_such),
		cmocka_unit_test(threads_share_states),
		cmocka_unit_test(threads_hash_one_entity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
