/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/login.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/map.h"
#include "common/password.h"
#include "leader/settings.h"
#include "proto/state.h"

#define CACHE_MS   60000
#define CACHE_MAX  1000
#define BASIC_MAX  2048
#define KEY_PREFIX "zak_"

struct login {
	const struct leader_settings *settings;
	uint8_t cache_key[32];           /* random: of this process */
	char nobodys[PASSWORD_HASH_MAX]; /* what the password of an unknown user is compared with */
	pthread_mutex_t lock;
	struct map *verified; /* HMAC of (user, hash, password) -> int64_t, until when */
};

struct basic {
	struct buf text;
	struct str user, password;
};

bool login_new(struct login **ret_login, const struct leader_settings *settings, struct error *err)
{
	AUTO(login) *login = xnew(struct login);
	char random[33];

	(void)pthread_mutex_init(&login->lock, NULL);
	login->settings = settings;
	login->verified = map_new();
	random_bytes(login->cache_key, sizeof(login->cache_key));
	random_hex(random, 16);
	if (!password_hash(str_of(random), login->nobodys, err))
		return false;
	*ret_login = TAKE(login);
	return true;
}

void login_free(struct login *login)
{
	void *until;

	if (!login)
		return;
	for (size_t at = 0; map_next(login->verified, &at, NULL, &until);)
		free(until);
	map_free(login->verified);
	(void)pthread_mutex_destroy(&login->lock);
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

/* The cache. */

struct cache_name {
	char hex[65];
};

static struct str cache_name(
	const struct login *login, const struct basic *basic, const char *hash, struct cache_name *into)
{
	AUTO_FINI(buf) message = buf_limit(BASIC_MAX + PASSWORD_HASH_MAX + 64);
	uint8_t mac[32];

	buf_format(&message, "%zu:%s\n", basic->user.len, hash);
	buf_add(&message, buf_str(&basic->text));
	hmac_sha256(str_from(login->cache_key, sizeof(login->cache_key)), buf_str(&message), mac);
	explicit_bzero(message.at, message.len);
	str_hex(mac, sizeof(mac), into->hex);
	return str_from(into->hex, 64);
}

static bool is_remembered(struct login *login, const struct basic *basic, const char *hash)
{
	struct cache_name name;
	struct str key = cache_name(login, basic, hash, &name);
	const int64_t *until;
	bool is;

	pthread_mutex_lock(&login->lock);
	until = map_find(login->verified, key);
	is = until && *until > clock_ms();
	pthread_mutex_unlock(&login->lock);
	return is;
}

static void make_room_locked(struct login *login)
{
	int64_t now = clock_ms();
	struct str key;
	void *until;

	for (size_t at = 0; map_next(login->verified, &at, &key, &until);)
		if (*(int64_t *)until <= now) {
			(void)map_delete(login->verified, key);
			free(until);
		}
	for (size_t at = 0;
		map_len(login->verified) >= CACHE_MAX && map_next(login->verified, &at, &key, &until);) {
		(void)map_delete(login->verified, key);
		free(until);
	}
}

static void remember(struct login *login, const struct basic *basic, const char *hash)
{
	struct cache_name name;
	struct str key = cache_name(login, basic, hash, &name);
	int64_t *until = xnew(int64_t);

	*until = clock_ms() + CACHE_MS;
	pthread_mutex_lock(&login->lock);
	if (map_len(login->verified) >= CACHE_MAX)
		make_room_locked(login);
	free(map_put(login->verified, key, until));
	pthread_mutex_unlock(&login->lock);
}

/* Who. */

static bool is_admin(const struct user *user)
{
	for (size_t i = 0; user->enabled && i < user->roles.len; i++)
		if (str_is(str_of(user->roles.at[i]), "admin"))
			return true;
	return false;
}

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
	if (is_admin(user) && !confined)
		ret_who->role = LOGIN_ADMIN;
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
	uint8_t raw[HASH_MAX];
	char hex[65];

	if (!entity)
		return false;
	hash_bytes(HASH_SHA256, basic->password.at, basic->password.len, raw);
	str_hex(raw, 32, hex);
	if (!equal_secret(hex, entity_worker(entity)->secret_hash, 64))
		return false;
	if (!is_good(entity_worker(entity)))
		return true;
	ret_who->role = LOGIN_WORKER;
	CHECK(str_copy(basic->user, ret_who->worker, sizeof(ret_who->worker)));
	memcpy(ret_who->credential, hex, sizeof(hex));
	return true;
}

bool login_still(const struct state *state, const struct login_who *who)
{
	struct entity *entity;

	if (!*who->worker)
		return true;
	entity = state_find(state, ENTITY_WORKER, str_of(who->worker));
	return entity && is_good(entity_worker(entity)) &&
	       !strcmp(entity_worker(entity)->secret_hash, who->credential);
}

/* The key that the secret opens, if it is the one that the user part names (by owner or by client id). */
static struct entity *find_key(const struct state *state, const struct basic *basic)
{
	struct str secret = basic->password, owner;
	uint8_t raw[HASH_MAX];
	struct entity *key;
	char hex[65];

	(void)str_skip(&secret, KEY_PREFIX);
	hash_bytes(HASH_SHA256, secret.at, secret.len, raw);
	str_hex(raw, 32, hex);
	key = state_find_secret(state, str_of(hex));
	if (!key)
		return NULL;
	owner = str_of(entity_apikey(key)->owner);
	return str_equal(basic->user, entity_id(key)) || str_equal(basic->user, owner) ? key : NULL;
}

static bool try_key(const struct state *state, const struct basic *basic, struct login_who *ret_who)
{
	struct entity *entity = find_key(state, basic);
	const struct apikey *key = entity ? entity_apikey(entity) : NULL;
	struct str owner;

	if (!key)
		return false;
	if (!key->enabled || (key->valid_until && key->valid_until <= clock_wall_s()))
		return true;
	owner = str_of(key->owner);
	decide_user(find_user(state, owner), owner, key->scopes.len > 0, ret_who);
	return true;
}

bool login_try(struct login *login, const struct state *state, const char *header, struct login_who *ret_who)
{
	__attribute__((cleanup(basic_fini))) struct basic basic = { 0 };
	const struct user *user;

	*ret_who = (struct login_who){ .role = LOGIN_NOBODY };
	if (!header || !basic_parse(header, &basic))
		return true;
	if (is_worker(login, &basic)) {
		ret_who->role = LOGIN_WORKER;
		return true;
	}
	if (try_worker(state, &basic, ret_who) || try_key(state, &basic, ret_who))
		return true;
	user = find_user(state, basic.user);
	if (!user || !*user->password_hash || !is_remembered(login, &basic, user->password_hash))
		return false;
	decide_user(user, basic.user, false, ret_who);
	return true;
}

void login_verify(
	struct login *login, const struct state *state, const char *header, struct login_who *ret_who)
{
	__attribute__((cleanup(basic_fini))) struct basic basic = { 0 };
	const struct user *user;
	const char *hash;

	if (login_try(login, state, header, ret_who) || !basic_parse(header, &basic))
		return;
	user = find_user(state, basic.user);
	hash = user && *user->password_hash ? user->password_hash : login->nobodys;
	if (!password_verify(basic.password, str_of(hash)) || hash == login->nobodys)
		return;
	remember(login, &basic, hash);
	decide_user(user, basic.user, false, ret_who);
}
