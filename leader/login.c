/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/login.h"

#include <stdlib.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/logins.h"
#include "common/loop.h"
#include "common/password.h"
#include "leader/rights.h"
#include "leader/settings.h"
#include "proto/apikey.h"
#include "proto/login_refusal.h"

#define BASIC_MAX 2048

struct login {
	const struct leader_settings *settings;
	struct logins *logins;
};

struct basic {
	struct buf text;
	struct str user, password;
};

/* A password that is being verified. */
struct login_wait {
	struct state *state;
	char user[ENTITY_ID_MAX + 1];
	struct loop *loop;
	struct logins_wait *wait;
	login_done_f *done;
	void *arg;
};

struct login *login_new(const struct leader_settings *settings, struct pool *pool)
{
	struct login *login = xnew(struct login);

	login->settings = settings;
	login->logins =
		logins_new(&(struct logins_settings){ .pool = pool, .kept_ms = settings->login_remember_ms });
	return login;
}

void login_free(struct login *login)
{
	if (!login)
		return;
	logins_free(login->logins);
	free(login);
}

/* The header. */

static void basic_fini(struct basic *basic)
{
	if (basic->text.at)
		explicit_bzero(basic->text.at, basic->text.room);
	buf_fini(&basic->text);
}

static bool basic_parse(const char *header, struct basic *ret)
{
	struct str rest = str_of(header), text;

	ret->text = buf_limit(BASIC_MAX);
	if (rest.len < 6 || !str_is_nocase(str_from(rest.at, 6), "Basic "))
		return false;
	rest = str_trim(str_from(rest.at + 6, rest.len - 6));
	if (!buf_unbase64(&ret->text, rest) || ret->text.failed)
		return false;
	text = buf_str(&ret->text);
	if (!str_until(&text, ':', &ret->user) || memchr(ret->text.at, '\0', ret->text.len))
		return false;
	ret->password = text;
	return ret->user.len > 0 && ret->user.len <= ENTITY_ID_MAX && ret->password.len <= PASSWORD_MAX;
}

/* Who. */

static const struct user *find_user(const struct state *state, struct str name)
{
	struct entity *entity = state_find(state, ENTITY_USER, name);

	return entity ? entity_user(entity) : NULL;
}

static void decide_user(const struct user *user, struct str name, bool confined, struct login_who *ret_who)
{
	if (!user || !user->enabled)
		return;
	CHECK(str_copy(name, ret_who->user, sizeof(ret_who->user)));
	hash_sha256_hex(str_of(user->password_hash), ret_who->credential);
	if (!confined)
		ret_who->role = rights_of(user, &ret_who->keys);
}

void login_user(const struct state *state, struct str name, struct login_who *ret_who)
{
	*ret_who = (struct login_who){ .role = LOGIN_NOBODY };
	decide_user(find_user(state, name), name, false, ret_who);
}

/* Both halves are compared whatever the first one says, by their digests: length tells nothing. */
static bool equal_text(struct str a, const char *b)
{
	uint8_t first[HASH_MAX], second[HASH_MAX];
	struct str text = str_of(b);

	hash_bytes(HASH_SHA256, a.at, a.len, first);
	hash_bytes(HASH_SHA256, text.at, text.len, second);
	return equal_secret(first, second, 32);
}

static bool is_worker(const struct login *login, const struct basic *basic)
{
	if (login->settings->own_credentials)
		return false;
	bool id = equal_text(basic->user, login->settings->client_id);
	bool secret = equal_text(basic->password, login->settings->client_secret);

	return id && secret;
}

/* By a credential of its own. */

static bool is_good(const struct worker_key *key)
{
	return key->enabled && (!key->valid_until || key->valid_until > clock_wall_s());
}

static bool try_worker(const struct state *state, const struct basic *basic, struct login_who *ret_who)
{
	struct entity *entity = state_find(state, ENTITY_WORKER, basic->user);
	char hex[65];

	if (!entity)
		return false;
	hash_sha256_hex(basic->password, hex);
	/* One that is not good any more is verified like a wrong password: its time does not tell. */
	if (!equal_secret(hex, entity_worker(entity)->secret_hash, 64) || !is_good(entity_worker(entity)))
		return false;
	ret_who->role = LOGIN_WORKER;
	CHECK(str_copy(basic->user, ret_who->worker, sizeof(ret_who->worker)));
	memcpy(ret_who->credential, hex, sizeof(hex));
	return true;
}

static bool worker_still(const struct state *state, const struct login_who *who)
{
	struct entity *entity = state_find(state, ENTITY_WORKER, str_of(who->worker));

	return entity && is_good(entity_worker(entity)) &&
	       !strcmp(entity_worker(entity)->secret_hash, who->credential);
}

static bool key_still(const struct state *state, const char *id)
{
	struct entity *key = state_find(state, ENTITY_APIKEY, str_of(id)), *owner;

	return key && !entity_apikey(key)->scopes.len &&
	       apikey_standing(state, key, clock_wall_s(), &owner) == APIKEY_GOOD;
}

/* A user who logged in by a key may change the password. */
static bool user_still(const struct state *state, const struct login_who *who)
{
	struct login_who now;

	login_user(state, str_of(who->user), &now);
	if (!*now.user || now.role != who->role || now.keys != who->keys)
		return false;
	return *who->apikey ? key_still(state, who->apikey) : !strcmp(now.credential, who->credential);
}

bool login_still(const struct state *state, const struct login_who *who)
{
	if (*who->worker)
		return worker_still(state, who);
	return !*who->user || user_still(state, who);
}

/* The key that the secret opens, if it is the one that the user part names (by owner or by client id). */
static struct entity *find_key(const struct state *state, const struct basic *basic)
{
	struct str secret = basic->password, owner;
	struct entity *key;
	char hex[65];

	(void)str_skip(&secret, APIKEY_PREFIX);
	hash_sha256_hex(secret, hex);
	key = state_find_secret(state, str_of(hex));
	if (!key || !apikey_opens(key, hex, clock_wall_s()))
		return NULL;
	owner = str_of(entity_apikey(key)->owner);
	return str_equal(basic->user, entity_id(key)) || str_equal(basic->user, owner) ? key : NULL;
}

static bool try_key(const struct state *state, const struct basic *basic, struct login_who *ret_who)
{
	struct entity *entity = find_key(state, basic);
	const struct apikey *key = entity ? entity_apikey(entity) : NULL;
	struct str owner;

	if (!key || !key->enabled || (key->valid_until && key->valid_until <= clock_wall_s()))
		return false;
	owner = str_of(key->owner);
	decide_user(find_user(state, owner), owner, key->scopes.len > 0, ret_who);
	CHECK(str_copy(entity_id(entity), ret_who->apikey, sizeof(ret_who->apikey)));
	return true;
}

/* Passwords. */

static struct logins_ask verification(const struct login_ask *ask, const struct basic *basic)
{
	const struct user *user = find_user(ask->state, basic->user);
	bool may = user && user->enabled && *user->password_hash;

	return (struct logins_ask){ .user = basic->user,
		.password = basic->password,
		.hash = may ? str_of(user->password_hash) : STR_NONE,
		.cost = state_password_cost(ask->state),
		.client = ask->client };
}

static bool try_password(struct login *login, const struct login_ask *ask, const struct basic *basic,
	struct login_who *ret_who)
{
	struct logins_ask verify = verification(ask, basic);
	enum logins_answer answer = logins_look(login->logins, &verify);

	if (answer == LOGINS_RIGHT)
		decide_user(find_user(ask->state, basic->user), basic->user, false, ret_who);
	return answer == LOGINS_RIGHT || answer == LOGINS_WRONG;
}

bool login_try(struct login *login, const struct login_ask *ask, struct login_who *ret_who)
{
	__attribute__((cleanup(basic_fini))) struct basic basic = { 0 };

	*ret_who = (struct login_who){ .role = LOGIN_NOBODY };
	if (!ask->header || !basic_parse(ask->header, &basic))
		return true;
	if (is_worker(login, &basic)) {
		ret_who->role = LOGIN_WORKER;
		return true;
	}
	return try_worker(ask->state, &basic, ret_who) || try_key(ask->state, &basic, ret_who) ||
	       try_password(login, ask, &basic, ret_who);
}

static void wait_free(struct login_wait *wait)
{
	state_free(wait->state);
	free(wait);
}

static void on_verified(void *arg, enum logins_answer answer, unsigned retry_after_s)
{
	struct login_wait *wait = arg;
	struct login_who who = { .role = LOGIN_NOBODY };
	struct str name = str_of(wait->user);

	loop_assert(wait->loop);
	if (answer == LOGINS_RIGHT)
		decide_user(find_user(wait->state, name), name, false, &who);
	wait->done(wait->arg, &who, retry_after_s);
	wait_free(wait);
}

struct login_wait *login_start(
	struct login *login, const struct login_ask *ask, struct loop *loop, login_done_f *done, void *arg)
{
	__attribute__((cleanup(basic_fini))) struct basic basic = { 0 };
	struct login_wait *wait = xnew(struct login_wait);
	struct logins_ask verify;

	loop_assert(loop);
	CHECK(basic_parse(ask->header, &basic) && str_copy(basic.user, wait->user, sizeof(wait->user)));
	wait->state = state_ref(ask->state);
	wait->loop = loop;
	wait->done = done;
	wait->arg = arg;
	verify = verification(ask, &basic);
	wait->wait = logins_start(login->logins, &verify, loop, on_verified, wait);
	return wait;
}

void login_cancel(struct login_wait *wait)
{
	loop_assert(wait->loop);
	logins_cancel(wait->wait);
	wait_free(wait);
}

static const char *why_worker(const struct entity *entity, struct str password)
{
	const struct worker_key *key = entity_worker(entity);
	char hex[65];

	hash_sha256_hex(password, hex);
	if (!equal_secret(hex, key->secret_hash, 64))
		return "worker_secret_wrong";
	return key->enabled ? "worker_over" : "worker_disabled";
}

/* Of those that workers have; NULL: it is none. */
static const char *why_of_workers(
	const struct login *login, const struct state *state, const struct basic *basic)
{
	struct entity *entity = state_find(state, ENTITY_WORKER, basic->user);

	if (entity)
		return why_worker(entity, basic->password);
	if (!equal_text(basic->user, login->settings->client_id))
		return NULL;
	return login->settings->own_credentials ? "workers_refused" : "workers_secret_wrong";
}

void login_explain(const struct login *login, const struct login_ask *ask, struct login_refusal *ret)
{
	__attribute__((cleanup(basic_fini))) struct basic basic = { 0 };
	const char *why;

	*ret = (struct login_refusal){ .why = ask->header ? "login_malformed" : "no_login" };
	if (!ask->header || !basic_parse(ask->header, &basic))
		return;
	why = why_of_workers(login, ask->state, &basic);
	if (!why) {
		login_refusal_of(ask->state, false, basic.user, basic.password, ret);
		return;
	}
	ret->why = why;
	tried_name(basic.user, true, ret->user);
}

void login_metrics(struct login *login, struct buf *into)
{
	logins_metrics(login->logins, "zot_leader_", into);
}
