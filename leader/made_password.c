/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/made_password.h"

#include <stddef.h>

#include "common/crypto.h"

void made_password(char into[MADE_PASSWORD_SIZE])
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
	const size_t len = sizeof(letters) - 1;
	size_t at = 0;

	while (at < MADE_PASSWORD_SIZE - 1) {
		uint8_t byte;
		random_bytes(&byte, 1);
		if (byte < 256 / len * len)
			into[at++] = letters[byte % len];
	}
	into[at] = '\0';
}
