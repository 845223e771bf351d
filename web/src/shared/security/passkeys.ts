import type { Schemas } from "../api/client";
import { ApiError } from "../api/problem";

/** What the server asks for and gets as the second step of a proof. */
export type Step = Pick<Schemas["Proof"], "code" | "passkey">;
export type Asked = Schemas["SecondFactorAsked"];

/** The browser made no passkey, or used none: called off, timed out, or it has none for this page. */
export class NoPasskeyError extends Error {}

/** What the server asks for beside the password, if that is why it refused. */
export function asked(error: unknown): Asked | undefined {
  const problem = error instanceof ApiError ? error.problem : undefined;
  return problem?.code === "second_factor_required" ? (problem.second_factor ?? undefined) : undefined;
}

/** Whether this browser can use passkeys at all, and the page is at the host that they belong to. */
export const passkeysWork = (host = window.location.hostname) =>
  window.location.hostname === host && "credentials" in navigator && "PublicKeyCredential" in window;

/** Send a proof; where no code was typed and the server takes a passkey, ask the browser for it and send once more. */
export async function withPasskey<R>(step: Step, send: (step: Step) => Promise<R>): Promise<R> {
  try {
    return await send(step);
  } catch (error) {
    const wanted = asked(error);
    if (step.code || !wanted?.passkey || !passkeysWork()) throw error;
    return send({ code: null, passkey: await getPasskey(wanted.passkey) });
  }
}

type Options = Record<string, unknown>;
interface Described {
  id: string;
}

/** Have the browser prove that its user holds a passkey. */
export async function getPasskey(options: Options): Promise<Schemas["PasskeyAnswer"]> {
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge as string),
    allowCredentials: described(options.allowCredentials),
  } as unknown as PublicKeyCredentialRequestOptions;
  const found = await ask(() => navigator.credentials.get({ publicKey }));
  const response = found.response as AuthenticatorAssertionResponse;
  return {
    ...named(found),
    response: {
      clientDataJSON: text(response.clientDataJSON),
      authenticatorData: text(response.authenticatorData),
      signature: text(response.signature),
      userHandle: response.userHandle ? text(response.userHandle) : null,
    },
  };
}

/** Have the browser make a new passkey. */
export async function createPasskey(options: Options): Promise<Schemas["NewPasskey"]> {
  const user = options.user as Described;
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge as string),
    user: { ...user, id: bytes(user.id) },
    excludeCredentials: described(options.excludeCredentials),
  } as unknown as PublicKeyCredentialCreationOptions;
  const made = await ask(() => navigator.credentials.create({ publicKey }));
  const response = made.response as AuthenticatorAttestationResponse;
  return {
    ...named(made),
    response: {
      clientDataJSON: text(response.clientDataJSON),
      attestationObject: text(response.attestationObject),
    },
  };
}

async function ask(what: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  let found: Credential | null;
  try {
    found = await what();
  } catch (error) {
    throw new NoPasskeyError(String(error));
  }
  if (!found) throw new NoPasskeyError("none");
  return found as PublicKeyCredential;
}

const named = ({ id, rawId }: PublicKeyCredential) => ({ id, rawId: text(rawId), type: "public-key" as const });
const described = (list: unknown) => ((list ?? []) as Described[]).map((one) => ({ ...one, id: bytes(one.id) }));

function bytes(base64url: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64url.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
}

function text(buffer: ArrayBuffer): string {
  const binary = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
