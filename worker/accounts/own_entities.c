/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/accounts/own_entities.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/check.h"

struct own_entities {
	const struct own_entities_terms *terms;
	pthread_mutex_t writes; /* of the file: one at a time, held over the other */
	struct sqlite *db;
	pthread_mutex_t lock; /* of the pointer */
	struct state *state;
};

/* In memory. */

struct state *own_entities_state(struct own_entities *all)
{
	struct state *state;

	pthread_mutex_lock(&all->lock);
	state = state_ref(all->state);
	pthread_mutex_unlock(&all->lock);
	return state;
}

/* Under `writes` nobody else swaps it. */
static void put(struct own_entities *all, struct entity *const *changed, size_t len)
{
	struct state *before = all->state;
	struct state *after = state_change(before, changed, len, state_revision(before) + 1);

	pthread_mutex_lock(&all->lock);
	all->state = after;
	pthread_mutex_unlock(&all->lock);
	state_free(before);
}

size_t own_entities_count(const struct state *state, const struct own_entities_terms *terms)
{
	size_t len = 0;

	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		if (terms->kinds & 1u << kind)
			len += state_count(state, (enum entity_kind)kind);
	return len;
}

/* The file. */

struct some {
	struct entity **at;
	size_t len;
};

static void some_fini(struct some *some)
{
	for (size_t i = 0; i < some->len; i++)
		entity_free(some->at[i]);
	free(some->at);
}

static bool take(
	const struct own_entities_terms *terms, struct some *loaded, struct str body, struct error *err)
{
	AUTO(entity) *one = NULL;

	if (loaded->len == terms->most)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "over %zu of what is %s", terms->most, terms->what);
	if (!own_file_decode(body, &one, err))
		return false;
	if (!(terms->kinds & 1u << entity_kind(one)) || entity_is_deleted(one))
		return error_set(err, ERROR_INVALID, NULL, "a row is not %s", terms->what);
	loaded->at[loaded->len++] = TAKE(one);
	return true;
}

static bool load(struct own_entities *all, struct error *err)
{
	struct sql q = sql_of(all->db, all->terms->load);
	AUTO_FINI(some) loaded = { xnew_array(struct entity *, all->terms->most), 0 };
	bool ok = true;

	while (ok && sql_next(&q))
		ok = take(all->terms, &loaded, sql_column_bytes(&q, 0), err);
	if (!sql_end(&q, ok ? err : NULL) || !ok)
		return false;
	put(all, loaded.at, loaded.len);
	return true;
}

bool own_entities_open(struct own_entities **ret, const char *folder, const struct own_entities_terms *terms,
	struct error *err)
{
	AUTO(own_entities) *all = xnew(struct own_entities);

	all->terms = terms;
	CHECK(pthread_mutex_init(&all->writes, NULL) == 0 && pthread_mutex_init(&all->lock, NULL) == 0);
	all->state = state_new();
	if (!own_file_open(&all->db, folder, &terms->file, err))
		return false;
	if (!load(all, err))
		return own_file_error(folder, &terms->file, err);
	*ret = TAKE(all);
	return true;
}

void own_entities_free(struct own_entities *all)
{
	if (!all)
		return;
	state_free(all->state);
	sqlite_free(all->db);
	pthread_mutex_destroy(&all->lock);
	pthread_mutex_destroy(&all->writes);
	free(all);
}

/* Changes: on disk first. */

void own_entities_lock(struct own_entities *all)
{
	pthread_mutex_lock(&all->writes);
}

void own_entities_unlock(struct own_entities *all)
{
	pthread_mutex_unlock(&all->writes);
}

static bool drop_row(struct own_entities *all, const struct entity *one, struct error *err)
{
	struct sql q = sql_of(all->db, all->terms->drop);

	sql_text(&q, entity_kind_name(entity_kind(one)));
	sql_str(&q, entity_id(one));
	return sql_run(&q, err);
}

static bool put_row(struct own_entities *all, const struct entity *one, struct error *err)
{
	AUTO_FINI(buf) body = buf_limit(ENTITY_BYTES_MAX);
	struct sql q;

	entity_encode(one, &body);
	if (!buf_check(&body, all->terms->what, err))
		return false;
	q = sql_of(all->db, all->terms->put);
	sql_text(&q, entity_kind_name(entity_kind(one)));
	sql_str(&q, entity_id(one));
	sql_bytes(&q, buf_str(&body));
	return sql_run(&q, err);
}

static bool store(struct own_entities *all, const struct some *some, struct error *err)
{
	bool ok = true;

	if (!sqlite_begin(all->db, err))
		return false;
	for (size_t i = 0; ok && i < some->len; i++)
		ok = entity_is_deleted(some->at[i]) ? drop_row(all, some->at[i], err)
						    : put_row(all, some->at[i], err);
	if (ok)
		return sqlite_commit(all->db, err);
	sqlite_rollback(all->db);
	return false;
}

bool own_entities_write_locked(
	struct own_entities *all, struct entity *const *changed, size_t len, struct error *err)
{
	AUTO_FINI(some) stamped = { xnew_array(struct entity *, len + 1), 0 };

	for (; stamped.len < len; stamped.len++)
		stamped.at[stamped.len] =
			entity_with_revision(changed[stamped.len], state_revision(all->state) + 1);
	if (!store(all, &stamped, err))
		return false;
	put(all, stamped.at, stamped.len);
	return true;
}
