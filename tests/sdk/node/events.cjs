// The common events, as the Node SDKs take them: [method, arguments] in sending order.
module.exports = [
  ['identify', { userId: 'guest-7', anonymousId: 'device-7', traits: { email: 'kenji@hotel.example', tier: 'gold' } }],
  ['track', {
    userId: 'guest-7',
    event: 'Room Booked',
    properties: { room: 512, nights: 3, price: 417.6, extras: ['vélo', '朝食'] },
  }],
  ['page', { userId: 'guest-7', category: 'Rooms', name: 'Sea View', properties: { path: '/rooms/sea-view' } }],
  ['screen', { userId: 'guest-7', category: 'Keys', name: 'Door Key', properties: { floor: 5 } }],
  ['group', { userId: 'guest-7', groupId: 'family-3', traits: { size: 4 } }],
  ['alias', { previousId: 'device-7', userId: 'guest-7' }],
  ['track', { anonymousId: 'device-8', event: 'Lobby Entered' }],
];
