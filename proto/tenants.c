/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/tenants.h"

#include <string.h>

#include "proto/name.h"

bool tenants_check(struct str tenants, struct error *err)
{
	struct str rest = tenants, one;
	struct name name;
	unsigned count = 0;

	if (tenants.len > TENANTS_MAX)
		return error_set(err, ERROR_INVALID, NULL, "has %zu bytes; at most %u are allowed",
			tenants.len, TENANTS_MAX);
	while (str_next(&rest, ',', &one)) {
		if (++count > TENANTS_EACH)
			return error_set(err, ERROR_INVALID, NULL, "more than %u tenants", TENANTS_EACH);
		if (!name_parse(one, &name, NULL))
			return error_set(err, ERROR_INVALID, NULL,
				"\"%.*s\" is not how a repository's name may begin: \"team-a\" serves team-a "
				"and "
				"all of team-a/",
				(int)(one.len < 60 ? one.len : 60), one.at);
	}
	return true;
}

static bool begins(struct str name, struct str prefix)
{
	return name.len >= prefix.len && memcmp(name.at, prefix.at, prefix.len) == 0 &&
	       (name.len == prefix.len || name.at[prefix.len] == '/');
}

bool tenants_have(struct str tenants, struct str name)
{
	struct str one;

	if (!tenants.len)
		return true;
	while (str_next(&tenants, ',', &one))
		if (one.len && begins(name, one))
			return true;
	return false;
}
