/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access - GET /api/access: what a worker would decide, and by which policy; decided by what workers ask, proto/access.h.
 *
 *     ?repository=NAME&action=read     of nobody who is logged in
 *     &user=NAME, &key=ID              of a user, of an API key and its owner
 *
 * A login that would be refused is told as such: nothing is asked of the policies then.
 */
#include "proto/access.h"

#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/describe.h"
#include "proto/apikey.h"
#include "proto/entity_table.h"
#include "proto/name.h"

#define BODY_MAX      (8 * (size_t)ENTITY_BYTES_MAX)
#define PARAMETER_MAX 1024

struct question {
	struct state *state;
	struct access *access;
	struct buf user, key, repository, action; /* as they were given */
	bool has_user, has_key;
	struct name name;
	enum action wanted;
	struct entity *user_entity, *key_entity; /* borrowed from the state */
};

static void question_fini(struct question *question)
{
	buf_fini(&question->user);
	buf_fini(&question->key);
	buf_fini(&question->repository);
	buf_fini(&question->action);
	access_free(question->access);
	state_free(question->state);
}

/* What is asked. */

static bool read_parameters(const struct api_job *job, struct question *question)
{
	bool given;

	return api_parameter(job, "user", &question->user, &question->has_user) &&
	       api_parameter(job, "key", &question->key, &question->has_key) &&
	       api_parameter(job, "repository", &question->repository, &given) &&
	       api_parameter(job, "action", &question->action, &given);
}

static bool check_parameters(struct question *question, struct error *err)
{
	if (!name_parse(buf_str(&question->repository), &question->name, err))
		return error_add(err, "repository");
	return action_parse(buf_str(&question->action), &question->wanted) ||
	       error_set(err, ERROR_INVALID, NULL, "action: is one of %s", ENTITY_ACTIONS);
}

/* A key acts for its owner. */
static bool find_who(struct question *question, struct error *err)
{
	struct str user = buf_str(&question->user);

	if (question->has_key)
		question->key_entity = state_find(question->state, ENTITY_APIKEY, buf_str(&question->key));
	if (question->key_entity) {
		const char *owner = entity_apikey(question->key_entity)->owner;
		if (question->has_user && !str_is(user, owner))
			return error_set(err, ERROR_INVALID, NULL, "user: the key is of \"%.100s\"", owner);
		user = str_of(owner);
	}
	question->user_entity = state_find(question->state, ENTITY_USER, user);
	return true;
}

/* Who that is. */

/* NULL: the login is taken. */
static const char *why_no_login(const struct question *question)
{
	struct entity *owner;
	enum apikey_standing standing;

	if (question->has_key && !question->key_entity)
		return "apikey_unknown";
	if (question->has_key) {
		standing = apikey_standing(question->state, question->key_entity, clock_wall_s(), &owner);
		return standing == APIKEY_GOOD ? NULL : apikey_standing_name(standing);
	}
	if (question->has_user && !question->user_entity)
		return "user_unknown";
	return question->has_user && !entity_user(question->user_entity)->enabled ? "user_disabled" : NULL;
}

static bool is_admin(const struct user *user)
{
	return texts_have(&user->roles, STR("admin"));
}

static struct access_who who_of(const struct question *question)
{
	const struct entity *entity = question->user_entity;

	if (!entity)
		return (struct access_who){ .user = "", .anonymous = true };
	return (struct access_who){ .user = entity_id(entity).at,
		.groups = entity_user(entity)->groups,
		.state = question->state,
		.key = question->key_entity,
		.admin = is_admin(entity_user(entity)) };
}

/* The answer. */

static void put_texts(struct json_writer *w, const char *name, const struct texts *texts)
{
	json_key(w, str_of(name));
	json_open_array(w);
	for (size_t i = 0; i < texts->len; i++)
		json_value_str(w, str_of(texts->at[i]));
	json_close_array(w);
}

/* Those that the user names, then those that name the user alone. */
static void put_groups(struct json_writer *w, const struct question *question)
{
	const struct texts *own = &entity_user(question->user_entity)->groups;

	json_key(w, STR("groups"));
	json_open_array(w);
	for (size_t i = 0; i < own->len; i++)
		json_value_str(w, str_of(own->at[i]));
	for (size_t i = 0; i < state_count(question->state, ENTITY_GROUP); i++) {
		const struct entity *group = state_at(question->state, ENTITY_GROUP, i);
		if (texts_have(&entity_group(group)->users, entity_id(question->user_entity)) &&
			!texts_have(own, entity_id(group)))
			json_value_str(w, entity_id(group));
	}
	json_close_array(w);
}

static void put_who(struct json_writer *w, const struct question *question)
{
	json_key(w, STR("who"));
	json_open_object(w);
	json_put_bool(w, "anonymous", !question->has_user && !question->has_key);
	if (question->user_entity) {
		json_put_str(w, "user", entity_id(question->user_entity));
		put_groups(w, question);
		json_put_bool(w, "admin", is_admin(entity_user(question->user_entity)));
	}
	if (question->key_entity) {
		json_put_str(w, "key", entity_id(question->key_entity));
		put_texts(w, "scopes", &entity_apikey(question->key_entity)->scopes);
	}
	json_close_object(w);
}

static void put_match(void *arg, const char *policy, bool of_file, bool decides)
{
	struct json_writer *w = arg;

	(void)of_file;
	json_open_object(w);
	json_put_text(w, "policy", policy);
	json_put_bool(w, "decides", decides);
	json_close_object(w);
}

static void put_policies(struct json_writer *w, const struct question *question)
{
	json_put_uint(w, "policies", access_policies(question->access));
	json_key(w, STR("matching"));
	json_open_array(w);
	access_each_match(question->access, name_str(&question->name), put_match, w);
	json_close_array(w);
}

static void put_decision(struct json_writer *w, const struct question *question)
{
	struct access_who who = who_of(question);
	struct access_decision decision =
		access_decide(question->access, &who, name_str(&question->name), question->wanted);

	json_put_bool(w, "allowed", decision.allowed);
	json_put_text(w, "reason", access_by_name(decision.by));
	json_put_text(w, "text", access_decision_text(&decision));
	if (*decision.policy)
		json_put_text(w, "policy", decision.policy);
	if (decision.by == ACCESS_BY_RULE)
		json_put_uint(w, "rule", decision.rule);
	if (*decision.scope)
		json_put_text(w, "scope", decision.scope);
}

static void put_no_login(struct json_writer *w, const char *why)
{
	json_put_bool(w, "allowed", false);
	json_put_text(w, "reason", why);
	json_put_text(w, "text", "the login is refused, whatever the policies say");
}

static struct http_response *answer(const struct question *question)
{
	struct buf body = buf_limit(BODY_MAX);
	struct json_writer w = json_writer(&body);
	const char *why = why_no_login(question);

	json_open_object(&w);
	if (why)
		put_no_login(&w, why);
	else
		put_decision(&w, question);
	json_put_str(&w, "repository", name_str(&question->name));
	json_put_text(&w, "action", action_name(question->wanted));
	put_who(&w, question);
	put_policies(&w, question);
	json_put_uint(&w, "revision", state_revision(question->state));
	json_close_object(&w);
	return api_json(200, &body);
}

const struct route_about about_access[] = {
	{ .method = HTTP_GET,
		.summary = "May they, and which policy says so.",
		.query = true,
		.gives = "Access" },
	{ 0 },
};

struct http_response *access_serve(void *arg)
{
	struct api_job *job = arg;
	__attribute__((cleanup(question_fini))) struct question question = { .state = leader_state(
										     job->leader),
		.user = buf_limit(PARAMETER_MAX),
		.key = buf_limit(PARAMETER_MAX),
		.repository = buf_limit(PARAMETER_MAX),
		.action = buf_limit(PARAMETER_MAX) };
	struct error err;

	if (!read_parameters(job, &question))
		return api_bad_query();
	if (!check_parameters(&question, &err) || !find_who(&question, &err) ||
		!access_new(&question.access, NULL, question.state, false, &err))
		return api_error_of(&err);
	return answer(&question);
}
