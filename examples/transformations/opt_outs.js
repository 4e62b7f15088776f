// Honours opt-outs: who said no to marketing is not sent to this tool at all, and where tracking for advertising is
// off, the device's advertising id goes.
export function transformEvent(event) {
  const traits = { ...event.context?.traits, ...event.traits };
  if (traits.marketing_opt_out === true || traits.unsubscribed === true) return;
  const device = event.context?.device;
  if (device && device.adTrackingEnabled === false) {
    delete device.advertisingId;
    delete device.idfa;
  }
  return event;
}
