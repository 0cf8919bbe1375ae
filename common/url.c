/* SPDX-License-Identifier: Apache-2.0 */
#include "common/url.h"

#include <string.h>

#include "common/ip.h"

static bool is_port(struct str text)
{
	uint64_t port;

	return str_to_number(text, 65535, &port) && port;
}

/* What stands behind a host: nothing, or its port. */
static bool is_rest(struct str rest)
{
	return !rest.len || (str_skip(&rest, ":") && is_port(rest));
}

static bool is_host(struct str host)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";

	for (size_t i = 0; i < host.len; i++)
		if (!host.at[i] || !strchr(allowed, host.at[i]))
			return false;
	return host.len > 0 && host.len <= 255;
}

static bool is_v6(struct str text, struct str *ret_rest)
{
	struct ip ip;
	struct str inside;

	if (!str_skip(&text, "[") || !str_until(&text, ']', &inside))
		return false;
	*ret_rest = text;
	return memchr(inside.at, ':', inside.len) && ip_parse(inside, &ip);
}

bool url_is_authority(struct str text)
{
	struct str host = text, rest = STR_NONE;

	if (str_starts(text, "["))
		return is_v6(text, &rest) && is_rest(rest);
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] != ':')
			continue;
		host = str_from(text.at, i);
		rest = str_from(text.at + i, text.len - i);
		break;
	}
	return is_host(host) && is_rest(rest);
}

static bool is_path(struct str path)
{
	for (size_t i = 0; i < path.len; i++)
		if (path.at[i] <= ' ' || path.at[i] > '~' || strchr("?#\"<>\\^`{|}", path.at[i]))
			return false;
	return true;
}

bool url_is_base(struct str text)
{
	struct str authority = text;
	const char *slash;

	if (!str_skip(&text, "https://") && !str_skip(&text, "http://"))
		return false;
	slash = text.len ? memchr(text.at, '/', text.len) : NULL;
	authority = slash ? str_from(text.at, (size_t)(slash - text.at)) : text;
	return url_is_authority(authority) &&
	       is_path(str_from(text.at + authority.len, text.len - authority.len));
}

bool url_is_call(struct str text)
{
	struct str base = text;

	if (!str_until(&text, '?', &base))
		return url_is_base(base);
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] <= ' ' || text.at[i] > '~' || strchr("#\"<>", text.at[i]))
			return false;
	return url_is_base(base);
}

struct str url_origin(struct str text)
{
	const char *at = memmem(text.at, text.len, "://", 3);

	for (at = at ? at + 3 : text.at; at < text.at + text.len && *at != '/' && *at != '?';)
		at++;
	return str_from(text.at, (size_t)(at - text.at));
}

struct str url_without_end(struct str text)
{
	while (text.len && text.at[text.len - 1] == '/')
		text.len--;
	return text;
}
