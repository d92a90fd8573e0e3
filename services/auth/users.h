/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * users.h - who has signed up: e-mail, id, Argon2id hash. In memory, bounded.
 *
 * Passwords are hashed with Argon2id (2 passes over 19 MiB, OWASP's figures)
 * by at most USERS_HASHING_MAX threads at a time, USERS_WAITING_MAX more may
 * wait: memory stays bounded, and /validate never waits for a hash. Thread-safe.
 */
#ifndef ARCHAIC_USERS_H
#define ARCHAIC_USERS_H

#include <stdbool.h>
#include <stddef.h>

#define USERS_MAX 50000
#define USERS_EMAIL_MAX 255 /* bytes with the NUL; RFC 5321's 254 */
#define USERS_ID_SIZE 19    /* "u-", 16 hexadecimal digits, NUL */
#define USERS_PASSWORD_MIN 8
#define USERS_PASSWORD_MAX 128
#define USERS_HASHING_MAX 2
#define USERS_WAITING_MAX 64

/** users_init() - makes the hash that unknown addresses are compared with. After sodium_init(). 0 or -ENOMEM. */
int users_init(void);
void users_release(void);

/** users_email() - @email in lower case, if it has an address's shape: local@domain.tld. 0 or -EINVAL. */
int users_email(const char *email, char ret[static USERS_EMAIL_MAX]);

/** users_add() - @email as users_email() gave it. 0 with @id, -EEXIST, -ENOSPC (USERS_MAX), -EBUSY (too many waiting) or -ENOMEM. */
int users_add(const char *email, const char *password, char id[static USERS_ID_SIZE]);

/** users_login() - 0 with @id, -EACCES, -EBUSY or -ENOMEM. Takes as long for an unknown address as for a wrong password. */
int users_login(const char *email, const char *password, char id[static USERS_ID_SIZE]);

#endif
