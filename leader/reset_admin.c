/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/reset_admin.h"

#include <stdio.h>
#include <sys/stat.h>

#include "common/log.h"
#include "common/password.h"
#include "leader/ledger.h"
#include "leader/made_password.h"
#include "leader/settings.h"
#include "proto/entity_table.h"

struct search {
	struct str id;
	struct entity *user; /* the newest, a reference */
};

static bool on_entity(void *arg, struct entity *entity)
{
	struct search *search = arg;

	if (entity_kind(entity) == ENTITY_USER && str_equal(entity_id(entity), search->id)) {
		entity_free(search->user);
		search->user = entity_ref(entity);
	}
	return true;
}

/* A folder without a store is a wrong folder, and none is made there. */
static bool open_ledger(const struct leader_settings *settings, struct ledger **ret, struct error *err)
{
	AUTO_FINI(buf) path = buf_limit(4096);
	struct stat st;

	buf_format(&path, "%s/leader.db", settings->data);
	if (!buf_check(&path, "data (ZOT_LEADER_DATA)", err))
		return false;
	if (stat(buf_text(&path), &st) != 0)
		return error_sys(err,
			"%s: no leader's store is there; data (ZOT_LEADER_DATA) must name the leader's "
			"folder",
			buf_text(&path));
	return ledger_open_sqlite(ret, settings->data, err) ||
	       (err->kind == ERROR_UNAVAILABLE ? error_add(err, "stop the leader first") : false);
}

/* As it was, but for what lets it in. */
static struct entity *let_in(const struct search *search, const char *hash)
{
	static const char *roles[] = { "admin" };
	struct user body;

	if (search->user && !entity_is_deleted(search->user))
		body = *entity_user(search->user);
	else
		table_defaults(entity_table(ENTITY_USER), &body);
	body.password_hash = hash;
	body.enabled = true;
	body.roles = (struct texts){ roles, 1 };
	return entity_new(ENTITY_USER, search->id, 0, &body);
}

static bool write_user(struct ledger *ledger, const char *name, const char *password, struct error *err)
{
	struct search search = { .id = str_of(name) };
	char hash[PASSWORD_HASH_MAX];
	struct ledger_loaded loaded;
	enum ledger_result result = LEDGER_FAILED;
	uint64_t revision;
	size_t at;

	if (ledger_load_entities(ledger, on_entity, &search, &loaded, err) &&
		password_hash(str_of(password), hash, err)) {
		AUTO(entity) *user = let_in(&search, hash);
		const struct ledger_change change = { .entity = user };

		result = ledger_write(ledger, &change, 1, &revision, &at, err);
	}
	entity_free(search.user);
	return result == LEDGER_WRITTEN;
}

static bool reset(const struct leader_settings *settings, const char *password, struct error *err)
{
	struct ledger *ledger;
	bool ok;

	if (!open_ledger(settings, &ledger, err))
		return false;
	ok = write_user(ledger, settings->admin_user, password, err);
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
