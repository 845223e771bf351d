import { api, MAX_ROWS, ok, type Schemas } from "@shared/api/client";
import { Unc } from "@shared/ui/bits";
import { useQuery } from "@tanstack/react-query";

type User = Schemas["UserOut"];

const wallets = (search?: string) => ok(api.GET("/api/v1/wallets", { params: { query: { limit: MAX_ROWS, search } } }));

/** A user's wallet: from the first page of all of them, which serves a whole list of users, else looked for by name. */
export function useWallet(user: User): Schemas["WalletOut"] | undefined {
  const all = useQuery({ queryKey: ["wallets", "first"], queryFn: () => wallets() });
  const found = all.data?.items.find((wallet) => wallet.owner_id === user.id);
  const missing = Boolean(all.data?.next_cursor) && !found;
  const own = useQuery({
    queryKey: ["wallets", "of", user.username],
    queryFn: () => wallets(user.username),
    enabled: missing,
  });
  return found ?? own.data?.items.find((wallet) => wallet.owner_id === user.id);
}

/** The machine hours that a user has left. */
export function Remaining({ user }: { user: User }) {
  const wallet = useWallet(user);
  return wallet ? <Unc value={wallet.available} /> : "–";
}
