/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/describe.h"

#include <string.h>

#define BELOW_ID "/{id}"

bool describe_is_for(const struct route *row, const struct route_about *about)
{
	if (about->kind && strcmp(about->kind, entity_kind_name((enum entity_kind)row->what)) != 0)
		return false;
	return !about->needs || (entity_kind_flags((enum entity_kind)row->what) & about->needs);
}

/* "/{id}/rotate" before "/{id}": 2, 1, or 0: it is not for this path. */
static unsigned fits(const struct route_about *about, struct str rest)
{
	struct str below = str_of(about->below);

	if (!below.len)
		return !rest.len;
	if (!rest.len || !str_skip(&below, BELOW_ID))
		return 0;
	if (!below.len)
		return 1;
	return rest.len > below.len && str_ends(rest, below.at) ? 2 : 0;
}

static unsigned best_fit(const struct route *row, struct str rest)
{
	unsigned best = 0;

	for (const struct route_about *about = row->about; about->summary; about++)
		if (describe_is_for(row, about) && fits(about, rest) > best)
			best = fits(about, rest);
	return best;
}

unsigned describe_methods(const struct route *row, struct str rest)
{
	unsigned best, methods = 0;

	if (!row->about)
		return row->methods;
	best = best_fit(row, rest);
	for (const struct route_about *about = row->about; best && about->summary; about++)
		if (describe_is_for(row, about) && fits(about, rest) == best)
			methods |= 1u << about->method;
	if (methods & ROUTE_M(GET))
		methods |= row->methods & ROUTE_M(HEAD);
	return methods;
}

const char *describe_type(const struct route *row, enum http_method method)
{
	for (const struct route_about *about = row->about; about && about->summary; about++)
		if (about->method == method && about->takes_type)
			return about->takes_type;
	return DESCRIBE_JSON;
}
