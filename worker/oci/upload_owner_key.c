/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/upload_owner_key.h"

#include "worker/auth/auth.h"

void upload_owner_key(const struct identity *identity, const struct ip *client, struct buf *into)
{
	struct ip network = ip_client(client);
	char address[INET6_ADDRSTRLEN];

	if (*identity->apikey) {
		buf_format(into, "key %s", identity->apikey);
	} else if (!identity->anonymous) {
		buf_format(into, "user %s", identity->user);
	} else {
		ip_format(&network, address);
		buf_format(into, "at %s", address);
	}
}
