/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cross_site.h"

#include <strings.h>

/* How much of a header an error quotes. */
#define QUOTED_MAX 100

static bool changes_nothing(enum http_method method)
{
	return method == HTTP_GET || method == HTTP_HEAD || method == HTTP_OPTIONS;
}

/* The port that a scheme has by itself is as good as none. */
static struct str without_port(struct str host, const char *port)
{
	struct str name, rest;

	return str_split_last(host, ':', &name, &rest) && str_is(rest, port) ? name : host;
}

static bool same_host(struct str origin, struct str host)
{
	const char *port = "443";

	if (!str_skip(&origin, "https://")) {
		port = "80";
		if (!str_skip(&origin, "http://"))
			return false;
	}
	origin = without_port(origin, port);
	host = without_port(host, port);
	return origin.len && origin.len == host.len && !strncasecmp(origin.at, host.at, host.len);
}

static bool refuse(const char *name, const char *value, struct error *err)
{
	return error_set(err, ERROR_DENIED, NULL,
		"%s: %.*s: a page of another site may not change anything here", name, QUOTED_MAX, value);
}

bool cross_site_check(enum http_method method, const struct cross_site *from, struct error *err)
{
	if (changes_nothing(method))
		return true;
	if (from->fetch_site) {
		struct str site = str_of(from->fetch_site);

		return str_is(site, "same-origin") || str_is(site, "none") ||
		       refuse("Sec-Fetch-Site", from->fetch_site, err);
	}
	return !from->origin || same_host(str_of(from->origin), str_of(from->host)) ||
	       refuse("Origin", from->origin, err);
}
