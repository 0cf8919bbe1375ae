/* SPDX-License-Identifier: Apache-2.0 */
#include "common/route.h"

/* A row's path is the same one, or lies above. */
static bool matches(const char *pattern, struct str path, struct str *ret_rest)
{
	struct str wanted = str_of(pattern);
	bool goes_on = str_ends(wanted, "*");

	wanted.len -= goes_on;
	if (path.len < wanted.len || memcmp(path.at, wanted.at, wanted.len) != 0)
		return false;
	*ret_rest = str_from(path.at + wanted.len, path.len - wanted.len);
	return !ret_rest->len || (goes_on && str_skip(ret_rest, "/"));
}

static enum route_found take(
	const struct route *row, enum http_method method, const struct route **ret, unsigned *ret_allowed)
{
	*ret_allowed |= row->methods;
	if (!(row->methods & 1u << method))
		return ROUTE_NO_METHOD;
	*ret = row;
	return ROUTE_FOUND;
}

enum route_found route_find(struct route_table table, struct str path, enum http_method method,
	const struct route **ret, struct str *ret_rest, unsigned *ret_allowed)
{
	enum route_found found = ROUTE_NO_PATH;
	struct str rest;

	*ret_allowed = 0;
	for (size_t i = 0; i < table.len && found != ROUTE_FOUND; i++) {
		if (!matches(table.rows[i].path, path, &rest))
			continue;
		if (found == ROUTE_NO_PATH || table.rows[i].methods & 1u << method) {
			*ret = &table.rows[i];
			*ret_rest = rest;
		}
		found = take(&table.rows[i], method, ret, ret_allowed);
	}
	return found;
}

enum route_found route_find_shape(struct route_table table, unsigned shape, enum http_method method,
	const struct route **ret, unsigned *ret_allowed)
{
	enum route_found found = ROUTE_NO_PATH;

	*ret_allowed = 0;
	for (size_t i = 0; i < table.len && found != ROUTE_FOUND; i++)
		if (table.rows[i].shape == shape)
			found = take(&table.rows[i], method, ret, ret_allowed);
	return found;
}

static size_t count_parameters(const struct route *row)
{
	size_t len = 0;

	while (row->parameters[len])
		len++;
	return len;
}

static bool is_parameter(const struct route *row, struct str name)
{
	for (size_t i = 0; row->parameters[i]; i++)
		if (str_is(name, row->parameters[i]))
			return true;
	return false;
}

bool route_takes(const struct route *row, struct str query, struct str *ret_unknown)
{
	struct str name, value;

	while (row->parameters && http_query_next(&query, &name, &value)) {
		if (is_parameter(row, name))
			continue;
		*ret_unknown = name;
		return false;
	}
	return true;
}

const char *route_nearest(const struct route *row, struct str unknown)
{
	return str_nearest(unknown, row->parameters, count_parameters(row));
}

void route_allow(unsigned allowed, struct buf *into)
{
	for (unsigned i = 0; i <= HTTP_OTHER; i++)
		if (allowed & 1u << i)
			buf_format(
				into, "%s%s", into->len ? ", " : "", http_method_name((enum http_method)i));
}
