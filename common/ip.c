/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ip.h"

#include <arpa/inet.h>

#include "common/log.h"

#define IP_BITS     128u
#define CLIENT_BITS 64 /* of a v6 address */
#define V4_AT       12 /* bytes in front of the v4 address */

static const uint8_t v4_mapped[V4_AT] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool is_v4(const struct ip *ip)
{
	return !memcmp(ip->at, v4_mapped, V4_AT);
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
	return !memcmp(a->at, b->at, sizeof(a->at));
}

static struct ip from_v4(const void *bytes)
{
	struct ip ip;

	memcpy(ip.at, v4_mapped, V4_AT);
	memcpy(ip.at + V4_AT, bytes, 4);
	return ip;
}

bool ip_parse(struct str text, struct ip *ret)
{
	char copy[INET6_ADDRSTRLEN];
	struct in_addr v4;
	struct ip v6;

	if (!text.len || memchr(text.at, '\0', text.len) || !str_copy(text, copy, sizeof(copy)))
		return false;
	if (inet_pton(AF_INET, copy, &v4) == 1)
		*ret = from_v4(&v4);
	else if (inet_pton(AF_INET6, copy, v6.at) == 1)
		*ret = v6;
	else
		return false;
	return true;
}

static bool is_port(struct str text)
{
	uint64_t port;

	return str_to_number(text, 65535, &port);
}

bool ip_parse_host(struct str text, struct ip *ret)
{
	struct str host, port, inside = text;

	if (str_skip(&inside, "["))
		return str_until(&inside, ']', &host) && host.len && memchr(host.at, ':', host.len) &&
		       (!inside.len || (str_skip(&inside, ":") && is_port(inside))) && ip_parse(host, ret);
	if (str_split_last(text, ':', &host, &port) && host.len && !memchr(host.at, ':', host.len))
		return is_port(port) && ip_parse(host, ret);
	return ip_parse(text, ret);
}

void ip_format(const struct ip *ip, char into[INET6_ADDRSTRLEN])
{
	const char *done = is_v4(ip) ? inet_ntop(AF_INET, ip->at + V4_AT, into, INET6_ADDRSTRLEN)
				     : inet_ntop(AF_INET6, ip->at, into, INET6_ADDRSTRLEN);

	if (!done)
		into[0] = '\0';
}

bool ip_from_socket(const struct sockaddr *address, struct ip *ret)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (address->sa_family == AF_INET) {
		memcpy(&v4, address, sizeof(v4));
		*ret = from_v4(&v4.sin_addr);
		return true;
	}
	if (address->sa_family != AF_INET6)
		return false;
	memcpy(&v6, address, sizeof(v6));
	memcpy(ret->at, &v6.sin6_addr, sizeof(ret->at));
	return true;
}

static struct ip keep_bits(const struct ip *ip, unsigned bits)
{
	struct ip kept = *ip;

	for (unsigned i = 0; i < sizeof(kept.at); i++) {
		unsigned left = bits > i * 8 ? bits - i * 8 : 0;

		if (left < 8)
			kept.at[i] &= (uint8_t)(0xff00u >> left);
	}
	return kept;
}

struct ip ip_client(const struct ip *ip)
{
	return is_v4(ip) ? *ip : keep_bits(ip, CLIENT_BITS);
}

static bool wrong_net(struct error *err, struct str text, const char *why)
{
	return error_set(err, ERROR_INVALID, NULL,
		"%s %s; allowed is an address (192.0.2.1, 2001:db8::1) or a network (10.0.0.0/8, fd00::/8)",
		log_quote(text), why);
}

bool ip_net_parse(struct str text, struct ip_net *ret, struct error *err)
{
	struct str address = text, bits = STR_NONE;
	bool has_bits = str_split_last(text, '/', &address, &bits);
	struct ip_net net;
	struct ip kept;
	uint64_t n = 0;

	if (!ip_parse(has_bits ? address : text, &net.ip))
		return wrong_net(err, text, "is no address");
	uint64_t most = is_v4(&net.ip) ? 32 : IP_BITS;
	if (has_bits && !str_to_number(bits, most, &n))
		return wrong_net(err, text, "has a wrong length of its prefix");
	net.bits = (unsigned)(IP_BITS - most + (has_bits ? n : most));
	kept = keep_bits(&net.ip, net.bits);
	if (!ip_equal(&kept, &net.ip))
		return wrong_net(err, text, "has bits set behind its prefix");
	*ret = net;
	return true;
}

bool ip_net_has(const struct ip_net *net, const struct ip *ip)
{
	struct ip kept = keep_bits(ip, net->bits);

	return ip_equal(&kept, &net->ip);
}
