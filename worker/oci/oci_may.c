/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/oci_may.h"

#include <string.h>

#include "common/http_server.h"
#include "worker/auth/auth.h"
#include "worker/auth/rights.h"
#include "worker/auth/snapshot.h"
#include "worker/oci/oci_call.h"

static bool may(const struct oci_call *call, enum action action)
{
	const struct oci_ask *ask = &call->ask;

	return rights_allow(ask->snapshot, ask->identity, name_str(&ask->route.name), action);
}

/* docker learns only from a 401 on /v2/ that it should log in. */
static bool is_docker(const struct oci_call *call)
{
	struct str agent = str_of(http_request_header(call->request, "User-Agent"));

	return str_starts(agent, "docker/") || (agent.len && strstr(agent.at, "Docker-Client"));
}

bool oci_may_base(const void *arg)
{
	const struct oci_call *call = arg;
	const struct oci_ask *ask = &call->ask;

	if (!ask->snapshot->auth_required || !ask->identity->anonymous)
		return true;
	return access_has_anonymous(ask->snapshot->access) &&
	       !(ask->route.row->what == OCI_OPERATION_version && is_docker(call));
}

bool oci_may_read(const void *call)
{
	return may(call, ACTION_READ);
}

bool oci_may_create(const void *call)
{
	return may(call, ACTION_CREATE);
}

bool oci_may_push(const void *call)
{
	return may(call, ACTION_CREATE) || may(call, ACTION_UPDATE);
}

bool oci_may_delete(const void *call)
{
	return may(call, ACTION_DELETE);
}

/* Bits of enum action. */
static unsigned actions_of(const struct route *row)
{
	static const struct {
		route_authorise_f *may;
		unsigned actions;
	} rights[] = {
		{ oci_may_read, 1u << ACTION_READ },
		{ oci_may_create, 1u << ACTION_CREATE },
		{ oci_may_push, 1u << ACTION_CREATE | 1u << ACTION_UPDATE },
		{ oci_may_delete, 1u << ACTION_DELETE },
	};

	for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++)
		if (row->authorise == rights[i].may)
			return rights[i].actions;
	return 0;
}

bool oci_may_refused(const struct oci_ask *ask, enum action *ret_action, struct access_decision *ret)
{
	unsigned actions = actions_of(ask->route.row);

	for (unsigned action = ACTION_READ; action <= ACTION_DELETE; action++) {
		if (!(actions & 1u << action))
			continue;
		*ret = rights_decide(
			ask->snapshot, ask->identity, name_str(&ask->route.name), (enum action)action);
		*ret_action = (enum action)action;
		if (!ret->allowed)
			return true;
	}
	return false;
}
