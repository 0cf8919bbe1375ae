/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/session.h"

#include <inttypes.h>

#include "common/check.h"
#include "common/crypto.h"

#define SEALED_MAX 1024 /* bytes that a seal is of */

struct entity *session_key_new(void)
{
	char secret[65];
	struct session_key body = { .secret = secret };
	struct entity *entity;

	random_hex(secret, 32);
	entity = entity_new(ENTITY_SESSIONKEY, STR("session"), 0, &body);
	explicit_bzero(secret, sizeof(secret));
	return entity;
}

static const struct user *find_user(const struct state *state, const char *name)
{
	struct entity *entity = state_find(state, ENTITY_USER, str_of(name));

	return entity ? entity_user(entity) : NULL;
}

/* No field has a line feed in it, so no two sessions are the same bytes. */
static bool hmac_hex(const struct state *state, const struct buf *message, char into[65])
{
	struct entity *key = state_find(state, ENTITY_SESSIONKEY, STR("session"));
	uint8_t raw[32];

	if (!key || message->failed)
		return false;
	hmac_sha256(str_of(entity_sessionkey(key)->secret), buf_str(message), raw);
	str_hex(raw, sizeof(raw), into);
	return true;
}

static bool seal_of(const struct state *state, const struct session *session, char into[65])
{
	AUTO_FINI(buf) message = buf_limit(SEALED_MAX);
	const struct user *user = find_user(state, session->user);

	if (!user || !*user->password_hash)
		return false;
	buf_format(&message, "session\n%s\n%" PRId64 "\n%s\n%s", session->id, session->until_s, session->user,
		user->password_hash);
	return hmac_hex(state, &message, into);
}

void session_begin(struct session *session, struct str user, int64_t now_s)
{
	*session = (struct session){ .until_s = now_s + SESSION_S };
	random_hex(session->id, (SESSION_ID_SIZE - 1) / 2);
	CHECK(str_copy(user, session->user, sizeof(session->user)));
}

bool session_seal(const struct state *state, const struct session *session, struct buf *into)
{
	char seal[65];

	if (!seal_of(state, session, seal))
		return false;
	buf_format(into, "%s.%" PRId64 ".%s.%s", session->id, session->until_s, seal, session->user);
	return !into->failed;
}

static bool parse(struct str text, struct session *ret, struct str *ret_seal)
{
	struct str id, until;
	uint64_t until_s;

	*ret = (struct session){ 0 };
	if (!str_until(&text, '.', &id) || !str_until(&text, '.', &until) || !str_until(&text, '.', ret_seal))
		return false;
	if (!str_to_number(until, INT64_MAX, &until_s) || ret_seal->len != 64)
		return false;
	ret->until_s = (int64_t)until_s;
	return str_copy(id, ret->id, sizeof(ret->id)) && str_copy(text, ret->user, sizeof(ret->user));
}

bool session_open(const struct state *state, struct str text, int64_t now_s, struct session *ret)
{
	struct str told;
	char seal[65];

	return parse(text, ret, &told) && ret->until_s > now_s && seal_of(state, ret, seal) &&
	       equal_secret(seal, told.at, 64);
}

void session_csrf(const struct state *state, const struct session *session, char into[SESSION_CSRF_SIZE])
{
	AUTO_FINI(buf) message = buf_limit(SEALED_MAX);

	buf_format(&message, "csrf\n%s\n%s", session->id, session->user);
	CHECK(hmac_hex(state, &message, into));
}

struct str session_in_cookies(const char *header)
{
	struct str rest = str_of(header), item;

	while (str_next(&rest, ';', &item))
		if (str_skip(&item, SESSION_COOKIE "="))
			return item;
	return STR_NONE;
}
