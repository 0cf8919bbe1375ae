/* SPDX-License-Identifier: Apache-2.0 */
#include "common/redis_url.h"

#include <string.h>

#include "common/str.h"

#define PORT          6379
#define SENTINEL_PORT 26379
#define DATABASES     16384

static bool wrong(struct error *err, const char *what)
{
	return error_set(err, ERROR_INVALID, NULL,
		"%s; wanted is redis://[user][:password@]host[:port][/database], unix:///path/of/socket, or "
		"redis+sentinel://[:password@]host:port,host:port/master-name[/database]",
		what);
}

static bool digit(char c, unsigned *ret)
{
	static const char digits[] = "0123456789abcdef";
	char lower = c >= 'A' && c <= 'F' ? (char)(c + 32) : c;
	const char *at = c ? strchr(digits, lower) : NULL;

	if (at)
		*ret = (unsigned)(at - digits);
	return at;
}

/* Percent-decoded. */
static bool copy_decoded(struct str s, char *into, size_t size)
{
	size_t len = 0;
	unsigned high, low;

	for (size_t i = 0; i < s.len && len + 1 < size; i++) {
		char c = s.at[i];

		if (c == '%' && i + 2 < s.len && digit(s.at[i + 1], &high) && digit(s.at[i + 2], &low)) {
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (!c)
			return false;
		into[len++] = c;
	}
	into[len] = '\0';
	return len + 1 < size;
}

static bool parse_login(struct str login, struct redis_url *url, struct error *err)
{
	struct str user = login, password = STR_NONE;

	if (str_until(&login, ':', &user))
		password = login;
	if (!copy_decoded(user, url->user, sizeof(url->user)) ||
		!copy_decoded(password, url->password, sizeof(url->password)))
		return wrong(err, "its user or password is too long, or has a NUL");
	return true;
}

static bool parse_host(struct str text, uint16_t fallback, struct redis_host *host)
{
	struct str name = text, rest = STR_NONE;
	uint64_t port = fallback;

	if (str_skip(&text, "[")) {
		if (!str_until(&text, ']', &name))
			return false;
		rest = text;
		if (rest.len && !str_skip(&rest, ":"))
			return false;
	} else if (str_until(&text, ':', &name)) {
		rest = text;
	}
	if (rest.len && !str_to_number(rest, 65535, &port))
		return false;
	host->port = (uint16_t)port;
	return name.len && port && str_copy(name, host->name, sizeof(host->name));
}

static bool parse_hosts(struct str list, struct redis_url *url, uint16_t fallback, struct error *err)
{
	struct str one;

	while (str_next(&list, ',', &one)) {
		if (url->hosts_len == REDIS_HOSTS_MAX)
			return wrong(err, "it names more than 16 hosts");
		if (!parse_host(one, fallback, &url->hosts[url->hosts_len++]))
			return wrong(err, "it has a host or a port that is none");
	}
	return url->hosts_len || wrong(err, "it names no host");
}

static bool parse_database(struct str text, struct redis_url *url, struct error *err)
{
	return !text.len || str_to_number(text, DATABASES, &url->database) ||
	       wrong(err, "its database is no number");
}

/* What stands behind "://", of a Redis over TCP. */
static bool parse_tcp(struct str text, bool sentinels, struct redis_url *url, struct error *err)
{
	struct str login, hosts = text, path = STR_NONE, master;

	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] != '/')
			continue;
		hosts = str_from(text.at, i);
		path = str_from(text.at + i + 1, text.len - i - 1);
		break;
	}
	if (str_split_last(hosts, '@', &login, &hosts) && !parse_login(login, url, err))
		return false;
	if (!parse_hosts(hosts, url, sentinels ? SENTINEL_PORT : PORT, err))
		return false;
	if (!sentinels)
		return (url->hosts_len == 1 || wrong(err, "it names more than one host")) &&
		       parse_database(path, url, err);
	if (!str_until(&path, '/', &master)) {
		master = path;
		path = STR_NONE;
	}
	if (!master.len || !str_copy(master, url->master, sizeof(url->master)))
		return wrong(err, "it names no master");
	return parse_database(path, url, err);
}

static bool parse_socket(struct str text, struct redis_url *url, struct error *err)
{
	struct str path;

	if (!str_until(&text, '?', &path)) {
		path = text;
		text = STR_NONE;
	}
	if (!str_starts(path, "/") || !str_copy(path, url->socket, sizeof(url->socket)))
		return wrong(err, "its socket is no absolute path of at most 107 bytes");
	return parse_database(text, url, err);
}

bool redis_url_parse(const char *text, struct redis_url *ret, struct error *err)
{
	struct str s = str_of(text);
	struct redis_url url = { 0 };
	bool ok;

	if (str_skip(&s, "redis://"))
		ok = parse_tcp(s, false, &url, err);
	else if (str_skip(&s, "redis+sentinel://"))
		ok = parse_tcp(s, true, &url, err);
	else if (str_skip(&s, "unix://"))
		ok = parse_socket(s, &url, err);
	else if (str_starts(s, "rediss://"))
		ok = error_set(err, ERROR_INVALID, NULL,
			"rediss:// (TLS) is not built in: go through a TLS proxy beside the leader, like "
			"stunnel, by redis://");
	else
		ok = wrong(err, "it does not begin with redis://");
	if (ok)
		*ret = url;
	return ok;
}
