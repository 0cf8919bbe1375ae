/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/logins.h"
#include "common/loop.h"
#include "common/password.h"
#include "common/pool.h"
#include "leader/settings.h"
#include "proto/entity_table.h"
#include "proto/state.h"

#define SECRET "a secret of a key, long enough"

static const struct leader_settings settings = {
	.client_id = "workers", .client_secret = "the secret of workers", .login_remember_ms = 60000
};
static struct loop *loop;
static struct pool *pool;
static struct login *login;
static struct state *people;
static char hash[PASSWORD_HASH_MAX];
static char secret_hashes[8][65];

static struct entity *make_user(const char *name, const char *role, bool enabled)
{
	const char *roles[] = { role };
	struct user user;

	table_defaults(entity_table(ENTITY_USER), &user);
	user.password_hash = hash;
	user.enabled = enabled;
	user.roles = (struct texts){ roles, role != NULL };
	return entity_new(ENTITY_USER, str_of(name), 1, &user);
}

static struct entity *make_key(
	unsigned at, const char *id, const char *owner, const char *scope, int64_t valid_until)
{
	const char *scopes[] = { scope };
	char secret[64];
	uint8_t raw[HASH_MAX];
	struct apikey key;

	(void)snprintf(secret, sizeof(secret), SECRET "%u", at);
	hash_bytes(HASH_SHA256, secret, strlen(secret), raw);
	str_hex(raw, 32, secret_hashes[at]);
	table_defaults(entity_table(ENTITY_APIKEY), &key);
	key.owner = owner;
	key.secret_hash = secret_hashes[at];
	key.scopes = (struct texts){ scopes, scope != NULL };
	key.valid_until = valid_until;
	return entity_new(ENTITY_APIKEY, str_of(id), 1, &key);
}

#define SWAP_LOGIN(other)                                                                                    \
	do {                                                                                                 \
		struct login *swapped = login;                                                               \
		login = (other);                                                                             \
		(other) = swapped;                                                                           \
	} while (0)
#define WORKERS_SECRET "zwk_of one worker, long enough"

static struct entity *make_worker(const char *name, const char *secret, bool enabled, int64_t valid_until)
{
	struct worker_key key;
	uint8_t raw[HASH_MAX];
	char hex[65];

	hash_bytes(HASH_SHA256, secret, strlen(secret), raw);
	str_hex(raw, 32, hex);
	table_defaults(entity_table(ENTITY_WORKER), &key);
	key.secret_hash = hex;
	key.enabled = enabled;
	key.valid_until = valid_until;
	return entity_new(ENTITY_WORKER, str_of(name), 1, &key);
}

static int setup(void **state)
{
	AUTO(state) *none = state_new();
	struct entity *all[11];

	(void)state;
	assert_true(password_hash(STR("right password"), hash, NULL));
	assert_true(loop_new(&loop, "test", NULL) && pool_new(&pool, 2, 10, NULL));
	login = login_new(&settings, pool);
	all[0] = make_user("root", "admin", true);
	all[1] = make_user("off", "admin", false);
	all[2] = make_user("plain", NULL, true);
	all[3] = make_key(0, "key-root", "root", NULL, 0);
	all[4] = make_key(1, "key-plain", "plain", NULL, 0);
	all[5] = make_key(2, "key-scoped", "root", "**:read", 0);
	all[6] = make_key(3, "key-expired", "root", NULL, clock_wall_s() - 1);
	all[7] = make_worker("one", WORKERS_SECRET, true, 0);
	all[8] = make_worker("disabled", WORKERS_SECRET, false, 0);
	all[9] = make_worker("over", WORKERS_SECRET, true, clock_wall_s() - 1);
	all[10] = make_worker("root", WORKERS_SECRET, true, clock_wall_s() + 1000);
	people = state_change(none, all, 11, 1);
	for (size_t i = 0; i < 11; i++)
		entity_free(all[i]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pool_free(pool);
	login_free(login);
	loop_free(loop);
	state_free(people);
	return 0;
}

static void header_of(const char *user, const char *password, struct buf *into)
{
	AUTO_FINI(buf) plain = buf_limit(4096);

	buf_format(&plain, "%s:%s", user, password);
	buf_clear(into);
	buf_puts(into, "Basic ");
	buf_base64(into, plain.at, plain.len);
}

struct asked {
	struct login_who who;
	unsigned retry_after_s;
	bool done;
};

static void on_decided(void *arg, const struct login_who *who, unsigned retry_after_s)
{
	struct asked *asked = arg;

	*asked = (struct asked){ *who, retry_after_s, true };
}

static struct asked ask_from(const char *address, const char *user, const char *password)
{
	AUTO_FINI(buf) header = buf_limit(8192);
	struct login_ask ask = { .state = people };
	struct asked asked = { 0 };

	header_of(user, password, &header);
	ask.header = buf_text(&header);
	assert_true(ip_parse(str_of(address), &ask.client));
	if (login_try(login, &ask, &asked.who))
		return asked;
	(void)login_start(login, &ask, loop, on_decided, &asked);
	while (!asked.done)
		loop_turn(loop, 1000);
	return asked;
}

static struct login_who ask(const char *user, const char *password)
{
	static unsigned last;
	char address[32];

	last++;
	(void)snprintf(address, sizeof(address), "198.51.100.%u", last);
	return ask_from(address, user, password).who;
}

static void workers_by_their_secret(void **state)
{
	(void)state;
	assert_int_equal(ask("workers", "the secret of workers").role, LOGIN_WORKER);
	assert_int_equal(ask("workers", "the secret of worker").role, LOGIN_NOBODY);
	assert_int_equal(ask("worker", "the secret of workers").role, LOGIN_NOBODY);
}

static void workers_by_a_credential_of_their_own(void **state)
{
	struct login_who who = ask("one", WORKERS_SECRET);

	(void)state;
	assert_int_equal(who.role, LOGIN_WORKER);
	assert_string_equal(who.worker, "one");
	assert_string_equal(ask("workers", "the secret of workers").worker, "");
	assert_int_equal(ask("two", WORKERS_SECRET).role, LOGIN_NOBODY);
	assert_int_equal(ask("one", WORKERS_SECRET "x").role, LOGIN_NOBODY);
	assert_int_equal(ask("disabled", WORKERS_SECRET).role, LOGIN_NOBODY);
	assert_int_equal(ask("over", WORKERS_SECRET).role, LOGIN_NOBODY);
	/* A user of the same name has a password as before. */
	assert_int_equal(ask("root", WORKERS_SECRET).role, LOGIN_WORKER);
	assert_int_equal(ask("root", "right password").role, LOGIN_ADMIN);
	assert_string_equal(ask("root", "right password").worker, "");
}

static bool still(struct entity *changed, const struct login_who *who)
{
	AUTO(entity) *owned = changed;
	AUTO(state) *later = state_change(people, &owned, 1, 2);

	return login_still(later, who);
}

static void a_worker_is_let_in_as_long_as_its_credential_is_good(void **state)
{
	struct login_who who = ask("one", WORKERS_SECRET), shared = ask("workers", "the secret of workers");

	(void)state;
	assert_true(login_still(people, &who) && login_still(people, &shared));
	assert_true(still(make_worker("one", WORKERS_SECRET, true, clock_wall_s() + 1000), &who));
	assert_true(still(make_worker("two", WORKERS_SECRET, false, 0), &who));
	assert_false(still(make_worker("one", WORKERS_SECRET, false, 0), &who));
	assert_false(still(make_worker("one", WORKERS_SECRET, true, clock_wall_s() - 1), &who));
	assert_false(still(make_worker("one", "another secret, long enough", true, 0), &who));
	assert_false(still(entity_new_deleted(ENTITY_WORKER, STR("one"), 2), &who));
	assert_true(still(entity_new_deleted(ENTITY_WORKER, STR("one"), 2), &shared));
}

static void the_shared_credential_may_be_off(void **state)
{
	struct leader_settings own = { .own_credentials = true };
	struct pool *its_pool = NULL;
	struct login *strict;

	(void)state;
	assert_true(pool_new(&its_pool, 2, 10, NULL));
	strict = login_new(&own, its_pool);
	SWAP_LOGIN(strict);
	assert_int_equal(ask("workers", "the secret of workers").role, LOGIN_NOBODY);
	assert_int_equal(ask("", "").role, LOGIN_NOBODY);
	assert_int_equal(ask("one", WORKERS_SECRET).role, LOGIN_WORKER);
	SWAP_LOGIN(strict);
	pool_free(its_pool);
	login_free(strict);
}

static void admins_by_password(void **state)
{
	struct login_who who = ask("root", "right password");

	(void)state;
	assert_int_equal(who.role, LOGIN_ADMIN);
	assert_string_equal(who.user, "root");
	who = ask("root", "wrong password");
	assert_int_equal(who.role, LOGIN_NOBODY);
	assert_string_equal(who.user, "");
	who = ask("plain", "right password");
	assert_int_equal(who.role, LOGIN_NOBODY);
	assert_string_equal(who.user, "plain");
	assert_string_equal(ask("off", "right password").user, "");
	assert_string_equal(ask("nobody", "right password").user, "");
	assert_string_equal(ask("", "right password").user, "");
}

static void remembers_for_a_while(void **state)
{
	AUTO_FINI(buf) header = buf_limit(8192);
	struct login_who who;

	(void)state;
	(void)ask("root", "right password");
	header_of("root", "right password", &header);
	assert_true(
		login_try(login, &(struct login_ask){ .state = people, .header = buf_text(&header) }, &who));
	assert_int_equal(who.role, LOGIN_ADMIN);
	header_of("root", "another password", &header);
	assert_false(
		login_try(login, &(struct login_ask){ .state = people, .header = buf_text(&header) }, &who));
}

static void a_changed_user_is_seen_at_once(void **state)
{
	AUTO_FINI(buf) header = buf_limit(8192);
	AUTO(entity) *demoted = make_user("root", NULL, true);
	AUTO(state) *later = state_change(people, &demoted, 1, 2);
	struct login_who who;

	(void)state;
	(void)ask("root", "right password");
	header_of("root", "right password", &header);
	assert_true(
		login_try(login, &(struct login_ask){ .state = later, .header = buf_text(&header) }, &who));
	assert_int_equal(who.role, LOGIN_NOBODY);
	assert_string_equal(who.user, "root");
}

static void keys_of_admins(void **state)
{
	(void)state;
	assert_int_equal(ask("key-root", SECRET "0").role, LOGIN_ADMIN);
	assert_int_equal(ask("root", "zak_" SECRET "0").role, LOGIN_ADMIN);
	assert_int_equal(ask("other", "zak_" SECRET "0").role, LOGIN_NOBODY);
	assert_int_equal(ask("key-plain", SECRET "1").role, LOGIN_NOBODY);
	assert_string_equal(ask("key-plain", SECRET "1").user, "plain");
	assert_int_equal(ask("key-scoped", SECRET "2").role, LOGIN_NOBODY);
	assert_int_equal(ask("key-expired", SECRET "3").role, LOGIN_NOBODY);
	assert_int_equal(ask("key-root", SECRET "1").role, LOGIN_NOBODY);
}

static void broken_headers_are_nobody(void **state)
{
	static const char *const broken[] = { "", "Basic", "Basic ", "Bearer abc", "Basic !!!!", "Basic YWJj",
		"Basic OmFiYw==", "Basic YToAYg==" };
	struct login_who who;

	(void)state;
	assert_true(login_try(login, &(struct login_ask){ .state = people, .header = NULL }, &who));
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		assert_true(
			login_try(login, &(struct login_ask){ .state = people, .header = broken[i] }, &who));
		assert_int_equal(who.role, LOGIN_NOBODY);
	}
}

static void too_many_failures_are_told_to_wait(void **state)
{
	unsigned failures = 0;
	char password[32];

	(void)state;
	assert_int_equal(ask_from("192.0.2.1", "root", "right password").who.role, LOGIN_ADMIN);
	do
		(void)snprintf(password, sizeof(password), "guess %u", failures);
	while (!ask_from("192.0.2.1", password, password).retry_after_s && failures++ < 1000);
	assert_in_range(failures, LOGINS_ADDRESS_FAILURES, 999);
	assert_int_equal(ask_from("192.0.2.1", "root", "right password").who.role, LOGIN_ADMIN);
	assert_string_equal(ask_from("192.0.2.2", "plain", "right password").who.user, "plain");
}

static void who_left_is_not_told(void **state)
{
	AUTO_FINI(buf) header = buf_limit(8192);
	struct login_ask ask = { .state = people };
	struct asked asked = { 0 };

	(void)state;
	header_of("somebody", "gone soon", &header);
	ask.header = buf_text(&header);
	assert_false(login_try(login, &ask, &asked.who));
	login_cancel(login_start(login, &ask, loop, on_decided, &asked));
	assert_string_equal(ask_from("192.0.2.3", "nobody", "else").who.user, "");
	assert_false(asked.done);
}

static uint64_t verified(void)
{
	AUTO_FINI(buf) text = buf_limit(100000);
	struct str rest;
	uint64_t n = 0;

	login_metrics(login, &text);
	rest = str_of(strstr(buf_text(&text), "\nzot_leader_logins_verified_total "));
	assert_true(
		str_skip(&rest, "\nzot_leader_logins_verified_total ") && str_number(&rest, UINT64_MAX, &n));
	return n;
}

/* Each is verified once, and its repetition not again: nothing tells which of them exists. */
static void all_refusals_cost_a_verification(void **state)
{
	static const char *const wrong[][2] = { { "root", "no password" }, { "nobody", "no password" },
		{ "off", "right password" }, { "key-root", "no secret" }, { "key-expired", SECRET "3" },
		{ "key-nobody", SECRET "0" }, { "root", "zak_" SECRET "1" } };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint64_t before = verified();

		for (unsigned n = 0; n < 3; n++)
			assert_string_equal(ask_from("192.0.2.4", wrong[i][0], wrong[i][1]).who.user, "");
		assert_int_equal(verified() - before, 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(workers_by_their_secret),
		TEST(workers_by_a_credential_of_their_own),
		TEST(a_worker_is_let_in_as_long_as_its_credential_is_good),
		TEST(the_shared_credential_may_be_off),
		TEST(admins_by_password),
		TEST(remembers_for_a_while),
		TEST(a_changed_user_is_seen_at_once),
		TEST(keys_of_admins),
		TEST(broken_headers_are_nobody),
		TEST(too_many_failures_are_told_to_wait),
		TEST(who_left_is_not_told),
		TEST(all_refusals_cost_a_verification),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
