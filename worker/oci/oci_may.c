/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/oci_may.h"

#include <string.h>

#include "common/http_server.h"
#include "worker/auth/access.h"
#include "worker/auth/auth.h"
#include "worker/auth/snapshot.h"
#include "worker/oci/oci_call.h"

static bool may(const struct oci_call *call, enum action action)
{
	const struct oci_ask *ask = &call->ask;

	return access_allows(ask->snapshot->access, ask->identity, name_str(&ask->route.name), action);
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
