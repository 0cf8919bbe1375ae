/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/entity_edit.h"

#include <string.h>

#include "common/crypto.h"
#include "leader/api/entity_write.h"
#include "leader/first_start.h"

#define CLIENT_ID_BYTES 12

void edit_fini(struct edit *edit)
{
	json_doc_free(edit->completed);
	entity_free(edit->base);
	entity_free(edit->made);
	explicit_bzero(edit->secret, sizeof(edit->secret));
}

/* What is given, completed. */

/* But `except`, or NULL. */
static void copy_members(struct json_writer *w, const struct json *object, const char *except)
{
	const struct json *value;
	struct str key;

	for (void *it = NULL; json_next(object, &it, &key, &value);) {
		if (except && str_is(key, except))
			continue;
		json_key(w, key);
		json_value_node(w, value);
	}
}

/* The body once more, without a member, or with one more; NULL: none. */
static bool rewrite(
	struct edit *edit, const char *except, const char *name, const char *value, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(8 * (size_t)ENTITY_BYTES_MAX);
	struct json_writer w = json_writer(&text);
	struct json_doc *doc;
	bool ok;

	json_open_object(&w);
	copy_members(&w, edit->given, except);
	json_put_text(&w, name, value);
	json_close_object(&w);
	ok = buf_check(&text, "the body", err) && json_parse(buf_str(&text), &doc, err);
	if (text.at)
		explicit_bzero(text.at, text.len);
	if (!ok)
		return false;
	json_doc_free(edit->completed);
	edit->completed = doc;
	edit->given = json_root(doc);
	return true;
}

static bool complete(struct edit *edit, const char *name, const char *value, struct error *err)
{
	return rewrite(edit, NULL, name, value, err);
}

bool edit_leave_out(struct edit *edit, const char *name, struct error *err)
{
	return rewrite(edit, name, NULL, NULL, err);
}

static bool has(const struct edit *edit, const char *name)
{
	return json_find(edit->given, name) != NULL;
}

static bool complete_apikey(struct edit *edit, struct error *err)
{
	if (has(edit, "clientSecret") || has(edit, "secretHash"))
		return true;
	if (edit->base)
		return complete(edit, "secretHash", entity_apikey(edit->base)->secret_hash, err);
	random_hex(edit->secret, ENTITY_SECRET_BYTES);
	return complete(edit, "clientSecret", edit->secret, err);
}

static bool complete_worker(struct edit *edit, struct error *err)
{
	const size_t prefix = sizeof(WORKER_PREFIX) - 1;

	if (has(edit, "clientSecret") || has(edit, "secretHash"))
		return true;
	if (edit->base)
		return complete(edit, "secretHash", entity_worker(edit->base)->secret_hash, err);
	memcpy(edit->secret, WORKER_PREFIX, prefix);
	random_hex(edit->secret + prefix, ENTITY_SECRET_BYTES);
	return complete(edit, "clientSecret", edit->secret, err);
}

static bool complete_user(struct edit *edit, struct error *err)
{
	const char *hash = edit->base ? entity_user(edit->base)->password_hash : "";

	if (has(edit, "password") || has(edit, "passwordHash") || !*hash)
		return true;
	return complete(edit, "passwordHash", hash, err);
}

/* A whole body leaves out what reading it does not show. */
static bool complete_secrets(struct edit *edit, struct error *err)
{
	if (edit->job->kind == ENTITY_APIKEY)
		return complete_apikey(edit, err);
	if (edit->job->kind == ENTITY_WORKER)
		return complete_worker(edit, err);
	return edit->job->kind != ENTITY_USER || complete_user(edit, err);
}

bool edit_take_id(struct edit *edit, struct str path, struct error *err)
{
	struct api_job *job = edit->job;
	struct str id = path.len ? path : json_str(json_find(edit->given, "id"));

	if (job->kind == ENTITY_APIKEY && !id.len && !has(edit, "id")) {
		random_hex(edit->id, CLIENT_ID_BYTES);
		return true;
	}
	if (!id.len)
		return error_set(err, ERROR_INVALID, NULL, "id: needed, a text");
	if (str_is(id, "_bulk") || str_is(id, "_template"))
		return error_set(err, ERROR_INVALID, NULL, "id: \"%.*s\" is a path of the API", STR_ARGS(id));
	if (memchr(id.at, '\0', id.len) || !str_copy(id, edit->id, sizeof(edit->id)))
		return error_set(err, ERROR_INVALID, NULL, "id: has at most %d bytes", ENTITY_ID_MAX);
	return true;
}

/* The secret before a rotation stays as long as its grace does. Another secret that an admin sets ends it: one
 * that is known to others is not to open on. */
static void settle_grace(struct edit *edit)
{
	const struct apikey *old = entity_apikey(edit->base);
	struct apikey body = *entity_apikey(edit->made);
	struct entity *settled;

	if (!has(edit, "secretHashBefore"))
		body.secret_hash_before = old->secret_hash_before;
	if (!body.grace_until || strcmp(body.secret_hash, old->secret_hash) != 0) {
		body.secret_hash_before = "";
		body.grace_until = 0;
	}
	settled = entity_new(ENTITY_APIKEY, entity_id(edit->made), entity_revision(edit->made), &body);
	entity_free(edit->made);
	edit->made = settled;
}

bool edit_make(struct edit *edit, struct error *err)
{
	enum http_method method = edit->job->http->method;

	if (method != HTTP_PATCH && !complete_secrets(edit, err))
		return false;
	if (!entity_from_json(edit->job->kind, str_of(edit->id), edit->given,
		    method == HTTP_PATCH ? edit->base : NULL, &edit->made, err))
		return false;
	if (edit->job->kind == ENTITY_APIKEY && edit->base)
		settle_grace(edit);
	return true;
}

/* Checks beyond one entity's own. */

bool edit_check(const struct edit *edit, const struct state *state, struct error *err)
{
	if (edit->job->kind == ENTITY_APIKEY && !edit->base &&
		!state_find(state, ENTITY_USER, str_of(entity_apikey(edit->made)->owner)))
		return error_set(err, ERROR_INVALID, NULL, "owner: there is no user \"%s\"",
			entity_apikey(edit->made)->owner);
	if (edit->job->kind == ENTITY_USER && edit->base && entity_is_last_admin(state, edit->base) &&
		!first_start_is_admin(entity_user(edit->made)))
		return error_set(
			err, ERROR_CONFLICT, NULL, "this is the last enabled admin; make another one first");
	return true;
}

bool edit_revokes(const struct edit *edit)
{
	const struct worker_key *old, *new;

	if (edit->job->kind != ENTITY_WORKER || !edit->base)
		return false;
	old = entity_worker(edit->base);
	new = entity_worker(edit->made);
	return (old->enabled && !new->enabled) || strcmp(old->secret_hash, new->secret_hash) != 0;
}
