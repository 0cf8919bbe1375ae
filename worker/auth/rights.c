/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/auth/rights.h"

#include "worker/auth/auth.h"
#include "worker/auth/snapshot.h"

static struct access_who who_of(const struct snapshot *snapshot, const struct identity *identity)
{
	return (struct access_who){ .user = identity->user,
		.groups = identity->groups,
		.state = snapshot->state,
		.key = identity->key,
		.key_unknown = identity->peer && *identity->apikey && !identity->key,
		.anonymous = identity->anonymous,
		.admin = identity->admin };
}

struct access_decision rights_decide(
	const struct snapshot *snapshot, const struct identity *identity, struct str name, enum action action)
{
	struct access_who who = who_of(snapshot, identity);

	return access_decide(snapshot->access, &who, name, action);
}

bool rights_allow(
	const struct snapshot *snapshot, const struct identity *identity, struct str name, enum action action)
{
	return rights_decide(snapshot, identity, name, action).allowed;
}

bool rights_is_admin(const struct snapshot *snapshot, const struct identity *identity)
{
	struct access_who who = who_of(snapshot, identity);

	return !identity->peer && access_is_admin(snapshot->access, &who);
}

bool rights_allow_metrics(const struct snapshot *snapshot, const struct identity *identity)
{
	struct access_who who = who_of(snapshot, identity);

	return access_allows_metrics(snapshot->access, &who);
}
