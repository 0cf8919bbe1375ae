/* SPDX-License-Identifier: Apache-2.0 */
/*
 * made_password - a password that nobody has chosen: 24 letters and digits that nobody takes for another, some 139 bits.
 *
 * Thread  any.
 */
#pragma once

#define MADE_PASSWORD_SIZE 25

void made_password(char into[MADE_PASSWORD_SIZE]);
