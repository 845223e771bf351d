import { api, MAX_ROWS, ok, type Page, type PageQuery, type Schemas } from "@shared/api/client";

type User = Schemas["UserOut"];
type UserStatus = User["status"];

/** A user with the machine hours that he has left. */
export type UserWithHours = User & { available?: string };

export interface UserFilter {
  role?: Schemas["Role"];
  status?: UserStatus;
  group_id?: string;
}

/** One page of users with what their wallets hold: two calls, however many users there are. */
export async function loadUsers(query: PageQuery & UserFilter): Promise<Page<UserWithHours>> {
  const page = await ok(api.GET("/api/v1/users", { params: { query } }));
  return { ...page, items: await withHours(page.items) };
}

export async function withHours(users: User[]): Promise<UserWithHours[]> {
  if (users.length === 0) return [];
  const owner_id = users.map((user) => user.id);
  const wallets = await ok(api.GET("/api/v1/wallets", { params: { query: { owner_id, limit: MAX_ROWS } } }));
  const hours = new Map(wallets.items.map((wallet) => [wallet.owner_id, wallet.available]));
  return users.map((user) => ({ ...user, available: hours.get(user.id) }));
}
