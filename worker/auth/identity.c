/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/auth/identity.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "proto/limits.h"

/* What is counted stands in front of what everybody sees; texts lie behind it. */
struct identity_box {
	atomic_uint refs;
	struct identity identity;
	char *memory[2];
	char *peer_memory[2];
	const char **groups;
	struct entity *user_entity;
};

static struct identity_box *box_of(struct identity *identity)
{
	return (struct identity_box *)((char *)identity - offsetof(struct identity_box, identity));
}

static char *text_of(struct str s)
{
	return check_strndup(s.at ? s.at : "", s.len);
}

static struct identity_box *box_new(struct str user, struct str apikey)
{
	struct identity_box *box = xnew(struct identity_box);

	atomic_init(&box->refs, 1);
	box->memory[0] = text_of(user);
	box->memory[1] = text_of(apikey);
	box->identity.user = box->memory[0];
	box->identity.apikey = box->memory[1];
	box->identity.peer_name = box->identity.client = "";
	return box;
}

struct identity *identity_ref(struct identity *identity)
{
	atomic_fetch_add_explicit(&box_of(identity)->refs, 1, memory_order_relaxed);
	return identity;
}

void identity_free(struct identity *identity)
{
	struct identity_box *box;

	if (!identity)
		return;
	box = box_of(identity);
	if (atomic_fetch_sub_explicit(&box->refs, 1, memory_order_acq_rel) != 1)
		return;
	entity_free(box->identity.key);
	entity_free(box->user_entity);
	if (box->groups)
		for (size_t i = 0; i < box->identity.groups.len; i++)
			free((void *)(uintptr_t)box->groups[i]);
	free(box->groups);
	free(box->memory[0]);
	free(box->memory[1]);
	free(box->peer_memory[0]);
	free(box->peer_memory[1]);
	free(box);
}

struct identity *identity_new_anonymous(void)
{
	struct identity_box *box = box_new(STR_NONE, STR_NONE);

	box->identity.anonymous = true;
	return &box->identity;
}

struct identity *identity_new_user(struct str name, struct entity *user, struct entity *key)
{
	struct identity_box *box = box_new(name, key ? entity_id(key) : STR_NONE);

	if (user) {
		box->user_entity = entity_ref(user);
		box->identity.groups = entity_user(user)->groups;
		box->identity.admin = texts_have(&entity_user(user)->roles, STR("admin"));
		box->identity.limited = limits_has_any(user) ? user : NULL;
	}
	if (key)
		box->identity.key = entity_ref(key);
	return &box->identity;
}

struct identity *identity_new_peer(const struct peer_claims *claims, struct entity *key)
{
	struct identity_box *box = box_new(str_of(claims->user), str_of(claims->apikey));

	box->groups = xnew_array(const char *, claims->groups_len + 1);
	for (size_t i = 0; i < claims->groups_len; i++)
		box->groups[i] = check_strdup(claims->groups[i]);
	box->identity.groups = (struct texts){ box->groups, claims->groups_len };
	box->identity.anonymous = claims->anonymous;
	box->identity.admin = claims->admin;
	box->identity.peer = true;
	box->identity.peer_name = box->peer_memory[0] = text_of(str_of(claims->sender));
	box->identity.client = box->peer_memory[1] = text_of(str_of(claims->client));
	box->identity.has_digest = claims->has_digest;
	memcpy(box->identity.digest, claims->digest, sizeof(box->identity.digest));
	if (key)
		box->identity.key = entity_ref(key);
	box->identity.peer_ring = claims->ring;
	box->identity.has_call = claims->has_call;
	memcpy(box->identity.call, claims->call, sizeof(box->identity.call));
	box->identity.call_sent_ms = claims->call_sent_ms;
	box->identity.call_age_ms = claims->call_age_ms;
	box->identity.call_issued_ms = claims->call_issued_ms;
	return &box->identity;
}

void identity_claim(const struct identity *identity, struct peer_claims *claims)
{
	claims->user = identity->user;
	claims->apikey = identity->apikey;
	claims->admin = identity->admin;
	claims->anonymous = identity->anonymous;
	claims->groups = identity->groups.at;
	claims->groups_len = identity->groups.len;
}
