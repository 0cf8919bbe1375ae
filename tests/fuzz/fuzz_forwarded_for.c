/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_forwarded_for - a network, a peer and an X-Forwarded-For, each up to a NUL.
 */
#include "common/check.h"
#include "common/proxies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str forwarded = str_from(data, size), net, peer_text;
	AUTO(proxies) *proxies = NULL;
	struct ip peer, client;
	struct error err;

	if (!str_until(&forwarded, '\0', &net) || !str_until(&forwarded, '\0', &peer_text) ||
		!ip_parse_host(peer_text, &peer))
		return 0;
	AUTO_STR *text = str_dup(net);
	const char *const nets[] = { text };
	if (!proxies_new(&proxies, nets, 1, &err)) {
		CHECK(err.text[0]);
		return 0;
	}
	client = proxies_client(proxies, &peer, forwarded);
	/* Only a proxy changes who the client is. */
	CHECK(proxies_has(proxies, &peer) || ip_equal(&client, &peer));
	return 0;
}
