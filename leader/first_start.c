/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/first_start.h"

#include <stdio.h>

#include "common/crypto.h"
#include "common/log.h"
#include "common/password.h"
#include "leader/audit.h"
#include "leader/leader.h"
#include "leader/made_password.h"
#include "leader/peer_secret.h"
#include "leader/session.h"
#include "proto/entity_table.h"

#define MADE_MOST 4

struct cluster_settings first_start_cluster(const struct leader_settings *settings)
{
	struct cluster_settings cluster;

	table_defaults(entity_table(ENTITY_SETTINGS), &cluster);
	cluster.isolated = settings->isolated;
	return cluster;
}

bool first_start_is_admin(const struct user *user)
{
	return user->enabled && texts_have(&user->roles, STR("admin"));
}

/* Disabled admins count: somebody disabled them on purpose, and a new one would undo that. */
static bool has_admin(const struct state *state)
{
	for (size_t i = 0; i < state_count(state, ENTITY_USER); i++) {
		struct user user = *entity_user(state_at(state, ENTITY_USER, i));
		user.enabled = true;
		if (first_start_is_admin(&user))
			return true;
	}
	return false;
}

static bool make_admin(
	const struct leader_settings *settings, const char *password, struct entity **ret, struct error *err)
{
	static const char *roles[] = { "admin" };
	char hash[PASSWORD_HASH_MAX];
	struct user user;

	table_defaults(entity_table(ENTITY_USER), &user);
	if (!password_hash(str_of(password), hash, err))
		return false;
	user.password_hash = hash;
	user.roles = (struct texts){ roles, 1 };
	*ret = entity_new(ENTITY_USER, str_of(settings->admin_user), 0, &user);
	return true;
}

static struct entity *make_ring(const struct leader_settings *settings)
{
	struct ring_body ring;
	char key[33], secret[PEER_SECRET_SIZE];

	table_defaults(entity_table(ENTITY_RING), &ring);
	random_hex(key, 16);
	ring.hash_key = settings->hash_key ? settings->hash_key : key;
	ring.epoch = 1;
	peer_secret_make(secret);
	ring.peer_secret = secret;
	return entity_new(ENTITY_RING, STR("ring"), 0, &ring);
}

/* A leader of before left the ring without. */
static bool complete_ring(struct leader *leader, struct error *err)
{
	bool ok = true;

	leader_lock(leader);
	AUTO(state) *state = leader_state(leader);
	struct entity *ring = state_find(state, ENTITY_RING, STR("ring"));
	if (!ring || !*entity_ring(ring)->peer_secret)
		ok = peer_secret_rotate_locked(leader, err);
	leader_unlock(leader);
	return ok;
}

static enum ledger_result write_made(
	struct leader *leader, struct entity *const made[MADE_MOST], struct error *err)
{
	struct ledger_change changes[MADE_MOST] = { 0 };
	enum ledger_result result;
	uint64_t revision;
	size_t len = 0, at;

	const struct ledger_audit by_leader = audit_event("", "", "created", "");

	for (size_t i = 0; i < MADE_MOST; i++)
		if (made[i])
			changes[len++] = (struct ledger_change){ .entity = made[i],
				.check = true,
				.audit = entity_kind(made[i]) == ENTITY_USER ? &by_leader : NULL };
	if (!len)
		return LEDGER_WRITTEN;
	leader_lock(leader);
	result = leader_write_locked(leader, changes, len, &revision, &at, err);
	leader_unlock(leader);
	if (result == LEDGER_STALE)
		(void)error_set(err, ERROR_CONFLICT, NULL,
			"user %s exists and is no admin; set ZOT_ADMIN_USER to another name",
			leader->settings->admin_user);
	return result;
}

/* BEHIND: another leader starts at the same time. */
static enum ledger_result make_first(struct leader *leader, struct error *err)
{
	const struct leader_settings *settings = leader->settings;
	AUTO(state) *state = leader_state(leader);
	AUTO(entity) *admin = NULL;
	AUTO(entity) *cluster = NULL;
	AUTO(entity) *ring = NULL;
	AUTO(entity) *key = NULL;
	char made[MADE_PASSWORD_SIZE] = "";
	enum ledger_result result;

	if (!has_admin(state)) {
		if (!settings->admin_password)
			made_password(made);
		if (!make_admin(settings, settings->admin_password ? settings->admin_password : made, &admin,
			    err))
			return LEDGER_FAILED;
	}
	if (!state_find(state, ENTITY_SETTINGS, STR("cluster"))) {
		struct cluster_settings body = first_start_cluster(settings);
		cluster = entity_new(ENTITY_SETTINGS, STR("cluster"), 0, &body);
	}
	if (!state_find(state, ENTITY_RING, STR("ring")))
		ring = make_ring(settings);
	if (!state_find(state, ENTITY_SESSIONKEY, STR("session")))
		key = session_key_new();
	result = write_made(leader, (struct entity *const[MADE_MOST]){ admin, cluster, ring, key }, err);
	if (result != LEDGER_WRITTEN)
		return result;
	if (*made)
		(void)fprintf(stderr,
			"First admin: user \"%s\", password \"%s\" (shown this once; change it by PATCH "
			"/api/user/%s; when it is lost: zot-leader reset-admin)\n",
			settings->admin_user, made, settings->admin_user);
	if (admin)
		log_info("admin.made", "user=%s", log_quote(str_of(settings->admin_user)));
	return LEDGER_WRITTEN;
}

bool first_start(struct leader *leader, struct error *err)
{
	enum ledger_result result;

	do
		result = make_first(leader, err);
	while (result == LEDGER_BEHIND);
	return (result == LEDGER_WRITTEN && complete_ring(leader, err)) || error_add(err, "first start");
}
