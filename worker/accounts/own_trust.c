/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/accounts/own_trust.h"

#include <stdlib.h>

#include "common/check.h"
#include "worker/accounts/own_entities.h"

static const struct own_entities_terms terms = {
	.file = { OWN_TRUST_FILE,
		"CREATE TABLE trust (kind TEXT, id TEXT, body BLOB NOT NULL, PRIMARY KEY (kind, id)) WITHOUT "
		"ROWID;"
		"PRAGMA user_version = 1;",
		1 },
	.kinds = 1u << ENTITY_TRUST,
	.most = TRUST_KEYS_MOST,
	.what = "a key or certificate",
	.load = "SELECT body FROM trust",
	.put = "INSERT OR REPLACE INTO trust VALUES (?, ?, ?)",
	.drop = "DELETE FROM trust WHERE kind = ? AND id = ?",
};

struct own_trust {
	struct own_entities *keys;
};

bool own_trust_open(struct own_trust **ret_trust, const char *folder, struct error *err)
{
	AUTO(own_trust) *trust = xnew(struct own_trust);

	if (!own_entities_open(&trust->keys, folder, &terms, err))
		return false;
	*ret_trust = TAKE(trust);
	return true;
}

void own_trust_free(struct own_trust *trust)
{
	if (!trust)
		return;
	own_entities_free(trust->keys);
	free(trust);
}

struct state *own_trust_state(struct own_trust *trust)
{
	return own_entities_state(trust->keys);
}

static bool add_locked(struct own_trust *trust, struct entity *key, struct error *err)
{
	AUTO(state) *state = own_trust_state(trust);

	return state_find(state, ENTITY_TRUST, entity_id(key)) ||
	       (trust_keys_check_room(state_count(state, ENTITY_TRUST), err) &&
		       own_entities_write_locked(trust->keys, &key, 1, err));
}

bool own_trust_add(struct own_trust *trust, struct entity *key, struct error *err)
{
	bool ok;

	own_entities_lock(trust->keys);
	ok = add_locked(trust, key, err);
	own_entities_unlock(trust->keys);
	return ok;
}

static bool remove_locked(struct own_trust *trust, struct str id, struct error *err)
{
	AUTO(state) *state = own_trust_state(trust);
	AUTO(entity) *gone = entity_new_deleted(ENTITY_TRUST, id, 0);

	return state_find(state, ENTITY_TRUST, id)
		       ? own_entities_write_locked(trust->keys, &gone, 1, err)
		       : error_set(err, ERROR_UNKNOWN, NULL, "there is no key with this id");
}

bool own_trust_remove(struct own_trust *trust, struct str id, struct error *err)
{
	bool ok;

	own_entities_lock(trust->keys);
	ok = remove_locked(trust, id, err);
	own_entities_unlock(trust->keys);
	return ok;
}
