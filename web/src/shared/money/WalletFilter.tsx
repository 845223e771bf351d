import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useAddress } from "../address";
import { api, MAX_ROWS, ok, type Schemas } from "../api/client";
import { useSession } from "../session";
import { Filter } from "../ui/Filter";

type Wallet = Schemas["WalletOut"];

/** One's own wallet and those of the groups that one is in. */
export function useMyWallets(): Wallet[] | undefined {
  const { data } = useQuery({
    queryKey: ["wallets", "all-mine"],
    queryFn: () => ok(api.GET("/api/v1/wallets", { params: { query: { mine: true, limit: MAX_ROWS } } })),
  });
  return data?.items;
}

/** Whose wallet is looked at, kept in the address: nothing for what a page means without a choice. */
export function useWalletChoice(enabled = true) {
  const wallets = useMyWallets();
  const [id, setId] = useAddress("wallet");
  const { user } = useSession();
  const chosen = enabled ? wallets?.find((wallet) => wallet.id === id) : undefined;
  const own = wallets?.find((wallet) => wallet.owner_id === user.id);
  return { wallets: enabled ? (wallets ?? []) : [], own, chosen, id: enabled ? id : undefined, setId };
}

/** Who is in no group is not asked. `fallback`: the wallet that nothing chosen means. `only`: those offered here. */
export function WalletFilter({
  choice,
  fallback,
  only = () => true,
}: {
  choice: ReturnType<typeof useWalletChoice>;
  fallback?: string;
  only?: (wallet: Wallet) => boolean;
}) {
  const { t } = useTranslation();
  const offered = choice.wallets.filter(only);
  if (offered.length < 2 && !choice.id) return null;
  return (
    <Filter
      label={t("wallet.whose")}
      value={choice.id ?? fallback}
      onChange={choice.setId}
      options={offered.map((wallet) => ({
        value: wallet.id,
        label: wallet.owner === "user" ? t("wallet.mine") : t("wallet.ofGroup", { group: wallet.owner_name }),
      }))}
    />
  );
}
