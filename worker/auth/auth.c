/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/auth/auth.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/http_server.h"
#include "common/logins.h"
#include "common/password.h"
#include "proto/access.h"
#include "proto/apikey.h"
#include "proto/login_refusal.h"
#include "worker/auth/auth_new.h"
#include "worker/auth/cert_identity.h"
#include "worker/auth/htpasswd.h"
#include "worker/auth/identity.h"
#include "worker/auth/peer_guard.h"
#include "worker/auth/peer_headers.h"
#include "worker/auth/snapshot.h"

#define CREDENTIALS_MAX 2048
#define SIGNED_MAX      ((size_t)32 * 1024) /* more than a head may have */

struct auth {
	char *realm;
	struct peer_guard *peers;
	_Atomic int64_t fail_delay_ms;
	struct htpasswd *htpasswd;          /* or NULL */
	struct cert_identity *certificates; /* or NULL */
	struct logins *logins;
	auth_own_key_f *own_key; /* or NULL */
	void *own_keys;
};

/* A password that is still to be verified. */
struct auth_attempt {
	struct logins_ask ask;
	char *user, *password, *hash; /* what it points to */
	struct entity *entity;
	struct logins_wait *wait;
	auth_done_f *done;
	void *arg;
};

bool auth_new(struct auth **ret_auth, const struct auth_settings *settings, struct error *err)
{
	struct auth *auth = xnew(struct auth);

	if (settings->certificates && !cert_identity_new(&auth->certificates, settings->certificates, err)) {
		free(auth);
		return error_add(err, "http.auth.mtls");
	}
	if (settings->htpasswd && !htpasswd_open(&auth->htpasswd, settings->htpasswd, err)) {
		cert_identity_free(auth->certificates);
		free(auth);
		return error_add(err, "http.auth.htpasswd.path");
	}
	auth->realm = check_strdup(settings->realm);
	auth->peers = peer_guard_new(
		settings->peer_secret, settings->peer_name, settings->peer_process, clock_ms());
	auth->fail_delay_ms = settings->fail_delay_ms;
	auth->own_key = settings->own_key;
	auth->own_keys = settings->own_keys;
	auth->logins = logins_new(
		&(struct logins_settings){ .pool = settings->pool, .kept_ms = settings->remember_ms });
	*ret_auth = auth;
	return true;
}

void auth_free(struct auth *auth)
{
	if (!auth)
		return;
	htpasswd_free(auth->htpasswd);
	cert_identity_free(auth->certificates);
	logins_free(auth->logins);
	free(auth->realm);
	peer_guard_free(auth->peers);
	free(auth);
}

static void attempt_free(struct auth_attempt *attempt)
{
	explicit_bzero(attempt->password, strlen(attempt->password));
	free(attempt->password);
	free(attempt->user);
	free(attempt->hash);
	entity_free(attempt->entity);
	free(attempt);
}

const char *auth_realm(const struct auth *auth)
{
	return auth->realm;
}

void auth_set_fail_delay(struct auth *auth, int64_t ms)
{
	atomic_store(&auth->fail_delay_ms, ms);
}

int64_t auth_fail_delay_ms(const struct auth *auth)
{
	return atomic_load_explicit(&auth->fail_delay_ms, memory_order_relaxed);
}

static enum auth_step refuse(struct error *err)
{
	(void)error_set(err, ERROR_DENIED, "UNAUTHORIZED", "authentication required");
	return AUTH_REFUSED;
}

/* Peers. */

/* By the keys that the leaders gave, or by the cluster's own. */
static bool admit_signed(struct auth *auth, const struct peer_keys *given, const struct peer_came *asked,
	struct peer_claims *ret, struct error *err)
{
	struct str keys[PEER_KEYS_MAX];
	unsigned len = peer_keys_believed(given, asked->now.wall_ms / 1000, keys);

	return len ? peer_guard_admit_by(auth->peers, keys, len, asked, ret, err)
		   : peer_guard_admit(auth->peers, asked, ret, err);
}

/* Who has signed it is told that it is we who answer, also where it is refused. */
static bool admit_peer(struct auth *auth, const struct peer_keys *keys, struct http_request *request,
	const char *header, struct peer_claims *ret, struct error *err)
{
	AUTO_FINI(buf) headers = buf_limit(SIGNED_MAX);
	AUTO_FINI(buf) answer = buf_limit(PEER_ANSWER_MAX);
	struct peer_request signs = { .method = str_of(http_method_name(http_request_method(request))),
		.target = http_request_target(request),
		.length = http_request_length(request) };
	struct peer_came asked = { .request = &signs,
		.header = str_of(header),
		.now = { clock_wall_ms(), clock_ms() },
		.answer = &answer };
	bool admitted;

	if (http_request_header_count(request, PEER_HEADER) != 1)
		return error_set(
			err, ERROR_DENIED, "UNAUTHORIZED", "the peer header is there more than once");
	peer_signed_request(request, &headers);
	signs.headers = buf_str(&headers);
	if (!buf_check(&headers, "the head of a peer's call", err))
		return false;
	admitted = admit_signed(auth, keys, &asked, ret, err);
	if (answer.len)
		http_request_reply_header(request, PEER_ANSWER_HEADER, buf_text(&answer));
	return admitted;
}

static enum auth_step try_peer(struct auth *auth, const struct snapshot *snapshot,
	struct http_request *request, const char *header, struct identity **ret_identity, struct error *err)
{
	struct peer_claims claims;
	struct entity *key;

	if (!admit_peer(auth, &snapshot->peers, request, header, &claims, err))
		return AUTH_REFUSED;
	key = *claims.apikey ? state_find(snapshot->state, ENTITY_APIKEY, str_of(claims.apikey)) : NULL;
	*ret_identity = identity_new_peer(&claims, key);
	peer_claims_fini(&claims);
	return AUTH_OK;
}

/* API keys. */

/* zak_<secret> as the password of the key's owner. */
static struct entity *find_zak(const struct snapshot *snapshot, struct str user, struct str secret)
{
	struct entity *key;
	char hash[65];

	hash_sha256_hex(secret, hash);
	key = state_find_secret(snapshot->state, str_of(hash));
	return key && str_is(user, entity_apikey(key)->owner) && apikey_opens(key, hash, clock_wall_s())
		       ? key
		       : NULL;
}

static struct entity *find_client(const struct snapshot *snapshot, struct str id, struct str secret)
{
	struct entity *key = state_find(snapshot->state, ENTITY_APIKEY, id);
	char hash[65];

	/* What is refused at once costs the same for an id that nobody has. */
	if (!key && !str_starts(secret, APIKEY_PREFIX))
		return NULL;
	hash_sha256_hex(secret, hash);
	if (!key)
		return NULL;
	return apikey_opens(key, hash, clock_wall_s()) ? key : NULL;
}

bool auth_has_password(const struct auth *auth, struct str user)
{
	AUTO_STR *hash = auth->htpasswd ? htpasswd_find(auth->htpasswd, user) : NULL;

	return hash;
}

/* zak_<secret> as the password of its owner, who is in the htpasswd file still. */
static bool try_own_key(
	struct auth *auth, struct str user, struct str password, struct identity **ret_identity)
{
	AUTO(entity) *key = NULL;
	int64_t now_s = clock_wall_s();
	char hash[65];

	if (!auth->own_key || !str_skip(&password, APIKEY_PREFIX))
		return false;
	hash_sha256_hex(password, hash);
	key = auth->own_key(auth->own_keys, hash);
	if (!key || !str_is(user, entity_apikey(key)->owner) || !apikey_opens(key, hash, now_s) ||
		(entity_apikey(key)->valid_until && entity_apikey(key)->valid_until <= now_s) ||
		!auth_has_password(auth, user))
		return false;
	*ret_identity = identity_new_user(user, NULL, key);
	return true;
}

static bool try_key(
	const struct snapshot *snapshot, struct str user, struct str password, struct identity **ret_identity)
{
	struct entity *key, *owner = NULL;
	struct str secret = password;

	if (!state_count(snapshot->state, ENTITY_APIKEY))
		return false;
	key = str_skip(&secret, APIKEY_PREFIX) ? find_zak(snapshot, user, secret) : NULL;
	if (!key)
		key = find_client(snapshot, user, password);
	if (!key || apikey_standing(snapshot->state, key, clock_wall_s(), &owner) != APIKEY_GOOD)
		return false;
	*ret_identity = identity_new_user(entity_id(owner), owner, key);
	return true;
}

/* Passwords. */

/* The stored hash of a user, from the state or the htpasswd file; a copy, NULL when there is none. */
static char *find_hash(
	struct auth *auth, const struct snapshot *snapshot, struct str user, struct entity **ret_entity)
{
	struct entity *entity = state_find(snapshot->state, ENTITY_USER, user);

	*ret_entity = NULL;
	if (entity) {
		const struct user *body = entity_user(entity);
		if (!body->enabled || !body->password_hash || !*body->password_hash)
			return NULL;
		*ret_entity = entity;
		return check_strdup(body->password_hash);
	}
	return auth->htpasswd ? htpasswd_find(auth->htpasswd, user) : NULL;
}

static unsigned most_expensive(struct auth *auth, const struct snapshot *snapshot)
{
	unsigned of_state = state_password_cost(snapshot->state);
	unsigned of_file = auth->htpasswd ? htpasswd_cost(auth->htpasswd) : 0;

	return of_state > of_file ? of_state : of_file;
}

/* Copies what `ask` points to. */
static struct auth_attempt *attempt_new(const struct logins_ask *ask, struct entity *entity)
{
	struct auth_attempt *attempt = xnew(struct auth_attempt);

	attempt->user = check_strndup(ask->user.at, ask->user.len);
	attempt->password = check_strndup(ask->password.at, ask->password.len);
	attempt->hash = ask->hash.len ? check_strndup(ask->hash.at, ask->hash.len) : NULL;
	attempt->entity = entity ? entity_ref(entity) : NULL;
	attempt->ask = *ask;
	attempt->ask.user = str_of(attempt->user);
	attempt->ask.password = str_of(attempt->password);
	attempt->ask.hash = str_of(attempt->hash);
	return attempt;
}

static enum auth_step try_password(struct auth *auth, const struct snapshot *snapshot, struct logins_ask *ask,
	struct identity **ret_identity, struct auth_attempt **ret_attempt, struct error *err)
{
	struct entity *entity;
	AUTO_STR *hash = find_hash(auth, snapshot, ask->user, &entity);

	ask->hash = str_of(hash);
	switch (logins_look(auth->logins, ask)) {
	case LOGINS_RIGHT:
		*ret_identity = identity_new_user(ask->user, entity, NULL);
		return AUTH_OK;
	case LOGINS_WRONG:
		return refuse(err);
	case LOGINS_UNKNOWN:
	case LOGINS_LATER:
		break;
	}
	ask->cost = most_expensive(auth, snapshot);
	*ret_attempt = attempt_new(ask, entity);
	return AUTH_PENDING;
}

static void on_verified(void *arg, enum logins_answer answer, unsigned retry_after_s)
{
	struct auth_attempt *attempt = arg;
	struct identity *identity = NULL;
	struct error err;

	if (answer == LOGINS_RIGHT)
		identity = identity_new_user(attempt->ask.user, attempt->entity, NULL);
	else if (answer == LOGINS_LATER)
		(void)error_set(&err, ERROR_BUSY, "TOOMANYREQUESTS",
			"too many logins failed from here or for this user, or too many are being verified");
	else
		(void)refuse(&err);
	attempt->done(attempt->arg, identity, identity ? NULL : &err, retry_after_s);
	attempt_free(attempt);
}

void auth_start(
	struct auth *auth, struct auth_attempt *attempt, struct loop *loop, auth_done_f *done, void *arg)
{
	attempt->done = done;
	attempt->arg = arg;
	attempt->wait = logins_start(auth->logins, &attempt->ask, loop, on_verified, attempt);
}

void auth_cancel(struct auth_attempt *attempt)
{
	logins_cancel(attempt->wait);
	attempt_free(attempt);
}

void auth_metrics(struct auth *auth, struct buf *into)
{
	logins_metrics(auth->logins, "zot_", into);
}

/* The header. */

static bool basic_parse(const char *header, struct buf *into, struct str *ret_user, struct str *ret_password)
{
	struct str rest = str_of(header);

	if (rest.len < 6 || !str_is_nocase(str_from(rest.at, 6), "basic "))
		return false;
	rest = str_trim(str_from(rest.at + 6, rest.len - 6));
	if (!buf_unbase64(into, rest) || into->failed || memchr(into->at ? into->at : "", '\0', into->len))
		return false;
	*ret_password = buf_str(into);
	return str_until(ret_password, ':', ret_user);
}

/* Docker's clients send "Og==" (an empty user and password) where they have none. */
static bool is_empty_login(struct str user, struct str password)
{
	return !user.len && !password.len;
}

static enum auth_step try_anonymous(
	const struct snapshot *snapshot, struct identity **ret_identity, struct error *err)
{
	if (snapshot->auth_required && !access_has_anonymous(snapshot->access))
		return refuse(err);
	*ret_identity = identity_new_anonymous();
	return AUTH_OK;
}

/* Certificates. */

/* The user of the connection's certificate, "" when it has none; looked for once a connection. */
static const char *certified_user(struct auth *auth, struct http_request *request)
{
	const char *known = http_request_note(request);
	char user[CERT_IDENTITY_MAX + 1];
	struct str der;

	if (known)
		return known;
	der = auth->certificates ? http_request_client_cert(request) : STR_NONE;
	if (!der.len || !cert_identity_find(auth->certificates, der, user))
		user[0] = '\0';
	http_request_set_note(request, user);
	return http_request_note(request);
}

/* Nobody logs in by a password: the certificate, or else anonymous. A user that the state has and that is
 * disabled there stays out. */
static enum auth_step try_certificate(struct auth *auth, const struct snapshot *snapshot,
	struct http_request *request, struct identity **ret_identity, struct error *err)
{
	struct str user = auth->certificates ? str_of(certified_user(auth, request)) : STR_NONE;
	struct entity *entity;

	if (!user.len)
		return try_anonymous(snapshot, ret_identity, err);
	entity = state_find(snapshot->state, ENTITY_USER, user);
	if (entity && !entity_user(entity)->enabled)
		return refuse(err);
	*ret_identity = identity_new_user(user, entity, NULL);
	return AUTH_OK;
}

/* A login that nobody sent, or an empty one. */
static const char *why_no_login(struct auth *auth, struct http_request *request, struct login_refusal *ret)
{
	struct str user = auth->certificates ? str_of(certified_user(auth, request)) : STR_NONE;

	if (!auth->certificates || !http_request_client_cert(request).len)
		return "no_login";
	if (!user.len)
		return "certificate_names_nobody";
	tried_name(user, true, ret->user);
	return "user_disabled";
}

void auth_explain(struct auth *auth, const struct snapshot *snapshot, struct http_request *request,
	struct login_refusal *ret)
{
	AUTO_FINI(buf) decoded = buf_limit(CREDENTIALS_MAX);
	const char *header = http_request_header(request, "Authorization");
	struct str user = STR_NONE, password = STR_NONE;

	*ret = (struct login_refusal){ .why = "login_malformed" };
	if (header && (http_request_header_count(request, "Authorization") != 1 ||
			      !basic_parse(header, &decoded, &user, &password)))
		return;
	if (!header || is_empty_login(user, password))
		ret->why = why_no_login(auth, request, ret);
	else if (user.len && password.len <= PASSWORD_MAX)
		login_refusal_of(snapshot->state, auth_has_password(auth, user), user, password, ret);
	if (decoded.at)
		explicit_bzero(decoded.at, decoded.len);
}

enum auth_step auth_try(struct auth *auth, struct snapshot *snapshot, struct http_request *request,
	const struct ip *client, struct identity **ret_identity, struct auth_attempt **ret_attempt,
	struct error *err)
{
	AUTO_FINI(buf) decoded = buf_limit(CREDENTIALS_MAX);
	const char *peer = http_request_header(request, PEER_HEADER);
	const char *header = http_request_header(request, "Authorization");
	struct logins_ask ask = { .client = *client };
	enum auth_step step;

	if (peer)
		return try_peer(auth, snapshot, request, peer, ret_identity, err);
	if (!header)
		return try_certificate(auth, snapshot, request, ret_identity, err);
	if (http_request_header_count(request, "Authorization") != 1 ||
		!basic_parse(header, &decoded, &ask.user, &ask.password))
		return refuse(err);
	if (is_empty_login(ask.user, ask.password) || !snapshot->auth_required)
		step = try_certificate(auth, snapshot, request, ret_identity, err);
	else if (!ask.user.len || ask.password.len > PASSWORD_MAX)
		step = refuse(err);
	else if (try_key(snapshot, ask.user, ask.password, ret_identity) ||
		 try_own_key(auth, ask.user, ask.password, ret_identity))
		step = AUTH_OK;
	else if (str_starts(ask.password, APIKEY_PREFIX))
		step = refuse(err);
	else
		step = try_password(auth, snapshot, &ask, ret_identity, ret_attempt, err);
	if (decoded.at)
		explicit_bzero(decoded.at, decoded.len);
	return step;
}
