/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip - an IP address as a value, and networks of them ("10.0.0.0/8", "fd00::/8", "::1").
 *
 * A v4 address is kept as its v4-mapped v6 one, so that both families compare and sort alike and
 * a v4 client of a v6 socket is a v4 client. Zones ("fe80::1%eth0") are not addresses here.
 *
 * Thread  any; pure.
 */
#pragma once

#include <netinet/in.h>

#include "common/error.h"
#include "common/str.h"

struct ip {
	uint8_t at[16];
};

/* The whole text is one address, as inet_pton(3) reads it. */
bool ip_parse(struct str text, struct ip *ret) MUST_CHECK;
/* The address of "1.2.3.4", "1.2.3.4:80", "::1", "[::1]" and "[::1]:80": what stands in X-Forwarded-For. */
bool ip_parse_host(struct str text, struct ip *ret) MUST_CHECK;
void ip_format(const struct ip *ip, char into[INET6_ADDRSTRLEN]);
bool ip_equal(const struct ip *a, const struct ip *b);
/* False unless it is AF_INET or AF_INET6. */
bool ip_from_socket(const struct sockaddr *address, struct ip *ret) MUST_CHECK;
/* What is counted as one client: a v4 address, or the 64 bits of a v6 one that a site has for itself. */
struct ip ip_client(const struct ip *ip);

struct ip_net {
	struct ip ip;
	unsigned bits; /* of 128 */
};
/* An address alone is a network of one. Bits behind the prefix ("10.0.0.1/8") are an error. */
bool ip_net_parse(struct str text, struct ip_net *ret, struct error *err) MUST_CHECK;
bool ip_net_has(const struct ip_net *net, const struct ip *ip);
