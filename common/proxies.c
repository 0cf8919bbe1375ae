/* SPDX-License-Identifier: Apache-2.0 */
#include "common/proxies.h"

#include <stdlib.h>

#include "common/check.h"

#define ITEMS_MAX 32

struct proxies {
	size_t len;
	struct ip_net nets[];
};

bool proxies_new(struct proxies **ret_proxies, const char *const *networks, size_t len, struct error *err)
{
	AUTO(proxies) *proxies = NULL;

	if (len > PROXIES_MAX)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "%zu networks; allowed are %d", len, PROXIES_MAX);
	proxies = check_alloc(1, sizeof(*proxies) + len * sizeof(proxies->nets[0]));
	for (; proxies->len < len; proxies->len++)
		if (!ip_net_parse(str_of(networks[proxies->len]), &proxies->nets[proxies->len], err))
			return false;
	*ret_proxies = TAKE(proxies);
	return true;
}

void proxies_free(struct proxies *proxies)
{
	free(proxies);
}

bool proxies_has(const struct proxies *proxies, const struct ip *ip)
{
	for (size_t i = 0; proxies && i < proxies->len; i++)
		if (ip_net_has(&proxies->nets[i], ip))
			return true;
	return false;
}

/* Cuts the last item off; false when there is none. */
static bool take_last(struct str *list, struct str *ret_item)
{
	struct str rest = *list;

	if (!rest.len)
		return false;
	if (!str_split_last(rest, ',', list, ret_item)) {
		*ret_item = rest;
		*list = STR_NONE;
	}
	*ret_item = str_trim(*ret_item);
	return true;
}

struct ip proxies_client(const struct proxies *proxies, const struct ip *peer, struct str forwarded)
{
	struct ip client = *peer, said;
	struct str item;

	for (unsigned n = 0; n < ITEMS_MAX && proxies_has(proxies, &client); n++) {
		if (!take_last(&forwarded, &item) || !ip_parse_host(item, &said))
			break;
		client = said;
	}
	return client;
}
