/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/self_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

#include "common/url.h"

void self_name(const struct member_settings *settings, uint16_t port, struct buf *into)
{
	char host[65] = "worker";

	if (settings->name) {
		buf_puts(into, settings->name);
	} else if (settings->instance_number) {
		buf_format(into, "zot-worker-%s", settings->instance_number);
	} else {
		(void)gethostname(host, sizeof(host) - 1);
		buf_format(into, "%s-%u", host, port);
	}
}

static bool first_address(char into[INET_ADDRSTRLEN])
{
	struct ifaddrs *all, *at;
	bool found = false;

	if (getifaddrs(&all))
		return false;
	for (at = all; at && !found; at = at->ifa_next) {
		if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET || (at->ifa_flags & IFF_LOOPBACK) ||
			!(at->ifa_flags & IFF_UP))
			continue;
		struct sockaddr_in in;
		memcpy(&in, at->ifa_addr, sizeof(in));
		found = inet_ntop(AF_INET, &in.sin_addr, into, INET_ADDRSTRLEN) != NULL;
	}
	freeifaddrs(all);
	return found;
}

static bool is_all(struct str address)
{
	return !address.len || str_is(address, "0.0.0.0") || str_is(address, "::");
}

/* What others are given when nobody has said it. */
static void default_host(const struct member_settings *settings, struct buf *into)
{
	struct str listens = str_of(settings->listens);
	char address[INET_ADDRSTRLEN] = "127.0.0.1";

	if (is_all(listens)) {
		(void)first_address(address);
		buf_puts(into, address);
	} else if (memchr(listens.at, ':', listens.len) && *listens.at != '[') {
		buf_format(into, "[%.*s]", STR_ARGS(listens));
	} else {
		buf_add(into, listens);
	}
}

void self_url(const struct member_settings *settings, uint16_t port, struct buf *into)
{
	const char *scheme = settings->https ? "https" : "http";
	struct str given = url_without_end(str_of(settings->self_url)), host, rest;
	AUTO_FINI(buf) standard = buf_limit(512);
	uint64_t number;

	if (str_starts(given, "http://") || str_starts(given, "https://")) {
		buf_add(into, given);
		return;
	}
	if (!given.len) {
		default_host(settings, &standard);
		buf_format(into, "%s://%s:%u", scheme, buf_text(&standard), port);
		return;
	}
	if (str_split_last(given, ':', &host, &rest) && str_to_number(rest, 65535, &number))
		buf_format(into, "%s://%.*s", scheme, STR_ARGS(given));
	else
		buf_format(into, "%s://%.*s:%u", scheme, STR_ARGS(given), port);
}

static const void *address_of(const struct sockaddr *sa, size_t *ret_len)
{
	if (sa->sa_family == AF_INET) {
		*ret_len = 4;
		return (const char *)sa + offsetof(struct sockaddr_in, sin_addr);
	}
	*ret_len = 16;
	return (const char *)sa + offsetof(struct sockaddr_in6, sin6_addr);
}

static bool is_local(const struct sockaddr *wanted, const struct ifaddrs *all)
{
	size_t wanted_len, len;
	const void *address = address_of(wanted, &wanted_len);

	for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
		if (!at->ifa_addr || at->ifa_addr->sa_family != wanted->sa_family)
			continue;
		const void *own = address_of(at->ifa_addr, &len);
		if (len == wanted_len && !memcmp(own, address, len))
			return true;
	}
	return false;
}

static bool is_me(struct str host, const struct ifaddrs *all, struct error *err, bool *ret_is)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found;
	AUTO_STR *name = NULL;
	int status;

	if (host.len > 2 && host.at[0] == '[')
		host = str_from(host.at + 1, host.len - 2);
	name = str_dup(host);
	status = getaddrinfo(name, NULL, &hints, &found);
	if (status)
		return error_set(err, ERROR_UNAVAILABLE, NULL,
			"cluster.members: \"%s\" cannot be resolved: %s", name, gai_strerror(status));
	*ret_is = false;
	for (const struct addrinfo *at = found; at && !*ret_is; at = at->ai_next)
		*ret_is =
			(at->ai_family == AF_INET || at->ai_family == AF_INET6) && is_local(at->ai_addr, all);
	freeaddrinfo(found);
	return true;
}

bool self_among(const struct setting_list *members, uint16_t port, size_t *ret_place, struct error *err)
{
	struct ifaddrs *all;
	bool ok = true, mine = false;
	size_t i;

	if (getifaddrs(&all))
		return error_sys(err, "addresses of this machine");
	for (i = 0; i < members->len && ok && !mine; i++) {
		struct str host, text;
		uint64_t number;
		if (str_split_last(str_of(members->at[i]), ':', &host, &text) &&
			str_to_number(text, 65535, &number) && number == port)
			ok = is_me(host, all, err, &mine);
	}
	freeifaddrs(all);
	if (!ok)
		return false;
	if (!mine)
		return error_set(err, ERROR_INVALID, NULL,
			"cluster.members: none of the %zu members is this machine with port %u", members->len,
			port);
	*ret_place = i - 1;
	return true;
}
