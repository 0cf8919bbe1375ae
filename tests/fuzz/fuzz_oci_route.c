/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any path and method: no crash, and whatever is routed has a valid name.
 */
#include <stdlib.h>

#include "worker/oci/oci_route.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct oci_route route;
	struct error err;
	unsigned allowed;

	if (!len)
		return 0;
	enum http_method method = (enum http_method)(bytes[0] % (HTTP_OTHER + 1));
	if (oci_route_parse(method, str_from(bytes + 1, len - 1), &route, &allowed, &err) != ROUTE_FOUND)
		return 0;
	struct name again;
	if (route.name.text[0] && !name_parse(name_str(&route.name), &again, &err))
		abort();
	return 0;
}
