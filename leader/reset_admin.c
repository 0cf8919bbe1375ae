/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/reset_admin.h"

#include <stdio.h>

#include "common/log.h"
#include "common/password.h"
#include "leader/audit.h"
#include "leader/ledger.h"
#include "leader/made_password.h"
#include "leader/settings.h"
#include "leader/store.h"
#include "leader/stored_entities.h"
#include "proto/entity_table.h"
#include "proto/state.h"

#define TRIES 20

/* As it was, but for what lets it in. */
static struct entity *let_in(const struct state *state, const char *name, const char *hash)
{
	static const char *roles[] = { "admin" };
	const struct entity *was = state_find(state, ENTITY_USER, str_of(name));
	struct user body;

	if (was)
		body = *entity_user(was);
	else
		table_defaults(entity_table(ENTITY_USER), &body);
	body.password_hash = hash;
	body.enabled = true;
	body.roles = (struct texts){ roles, 1 };
	return entity_new(ENTITY_USER, str_of(name), state_revision(state) + 1, &body);
}

static struct state *state_of(const struct stored_entities *stored)
{
	AUTO(state) *empty = state_new();

	return state_change(empty, stored->at, stored->len, stored->loaded.revision);
}

static enum ledger_result write_user(struct ledger *ledger, const struct state *state, const char *name,
	const char *hash, struct error *err)
{
	AUTO(entity) *user = let_in(state, name, hash);
	AUTO(state) *next = state_change(state, &user, 1, state_revision(state) + 1);
	const struct ledger_audit by_command = audit_event("", "", "reset", "");
	const struct ledger_change change = { .entity = user, .audit = &by_command };
	AUTO_FINI(audit_batch) batch;
	uint64_t revision;
	size_t at;

	audit_batch_init(&batch, state, &change, 1);
	return ledger_write(ledger, batch.changes, 1, state_digest(next), &revision, &at, err);
}

static enum ledger_result write_once(
	struct ledger *ledger, const char *name, const char *hash, struct error *err)
{
	AUTO_FINI(stored_entities) stored = { 0 };
	AUTO(state) *state = NULL;

	if (!stored_entities_read(&stored, ledger, err))
		return LEDGER_FAILED;
	state = state_of(&stored);
	return write_user(ledger, state, name, hash, err);
}

/* Leaders on a Redis may write meanwhile: then all is read again. */
static bool reset_in(struct ledger *ledger, const char *name, const char *password, struct error *err)
{
	enum ledger_result result = LEDGER_BEHIND;
	char hash[PASSWORD_HASH_MAX];

	if (!password_hash(str_of(password), hash, err))
		return false;
	for (unsigned i = 0; i < TRIES && result == LEDGER_BEHIND; i++)
		result = write_once(ledger, name, hash, err);
	return result == LEDGER_WRITTEN;
}

static bool reset(const struct leader_settings *settings, const char *password, struct error *err)
{
	struct ledger *ledger;
	bool ok;

	if (!store_open_there(settings, &ledger, err))
		return !store_is_redis(settings) && err->kind == ERROR_UNAVAILABLE &&
		       error_add(err, "stop the leader first");
	ok = reset_in(ledger, settings->admin_user, password, err);
	ledger_close(ledger);
	return ok;
}

int reset_admin(const struct leader_settings *settings)
{
	char password[MADE_PASSWORD_SIZE];
	struct error err;

	made_password(password);
	if (!reset(settings, password, &err)) {
		log_error("admin.reset", "user=%s error=%s", log_quote(str_of(settings->admin_user)),
			log_quote(str_of(err.text)));
		return 1;
	}
	log_warn("admin.reset", "user=%s what=\"has a new password, which is printed once\"",
		log_quote(str_of(settings->admin_user)));
	if (printf("user \"%s\", password \"%s\"\n", settings->admin_user, password) < 0 || fflush(stdout)) {
		log_error("admin.reset", "error=\"the password could not be printed; run it again\"");
		return 1;
	}
	return 0;
}
